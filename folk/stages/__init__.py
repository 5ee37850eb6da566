"""Stages: build the parts that a recipe names, run them, return plain results."""
