"""Metrics from stored predictions, never from a running model; numpy only."""
