"""Training loop, schedules, optimizer groups, checkpoints and processes of all trained stages."""
