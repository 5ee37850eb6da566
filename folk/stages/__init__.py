"""Stages: each builds the parts named by a recipe, runs them and returns plain results."""
