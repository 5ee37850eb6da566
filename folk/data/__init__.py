"""Images: prepared once into shards, then read, split, transformed and batched."""
