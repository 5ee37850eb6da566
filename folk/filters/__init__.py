"""Filters: which Fourier coefficients the student is allowed to see.

A filter is a frozen dataclass in a file of its own and an entry of `table`; `settings` has its keys
in a recipe, and needs no torch.
"""
