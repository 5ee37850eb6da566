"""What made each number: digests, code fingerprints, environments and the records of jobs."""
