"""A study on a SLURM cluster: the user's site, how jobs start there, and how they are watched."""
