"""SLURM: site file, launcher over nodes, and the executor that watches jobs."""
