"""SLURM: how a job is started over its nodes and processes."""
