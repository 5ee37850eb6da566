"""Pre-training methods: FOLK, MFM and image restoration, with their losses."""
