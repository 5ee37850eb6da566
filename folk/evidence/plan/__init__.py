"""Cost estimate of a study before it runs: jobs, hours, disk and energy."""
