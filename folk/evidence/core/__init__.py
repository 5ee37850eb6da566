"""Files, digests, JSON, YAML and errors."""
