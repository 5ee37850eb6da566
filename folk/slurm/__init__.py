"""SLURM: one user's site, and how jobs are spread over nodes, started and watched there."""
