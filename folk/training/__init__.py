"""What every trained stage shares: loop, schedules, optimizer groups, checkpoints, processes."""
