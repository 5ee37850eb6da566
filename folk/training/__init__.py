"""What every trained stage shares: loop, schedules, optimiser groups, checkpoints, processes."""
