"""Readers of public data sets' official archives, which are never unpacked."""
