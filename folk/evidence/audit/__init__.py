"""Audit of a finished study: the origin of its numbers, and checks of its files."""
