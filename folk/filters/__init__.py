"""Filters: which Fourier coefficients the student is allowed to see.

A filter is a frozen dataclass in a file of its own and an entry of `table`. Its attributes are its
keys in a recipe, which is checked without torch; so its file imports torch inside functions.
"""
