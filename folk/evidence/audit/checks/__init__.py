"""Checks of `verify`, one file each; a check reads the subject and yields findings."""
