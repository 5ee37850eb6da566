"""What a study will cost before it runs: its jobs, their hours, disk and energy."""
