"""Records of jobs: digests, code fingerprints, environments."""
