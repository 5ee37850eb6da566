"""FOLK-Repro: regenerate, and question, every number of FOLK and MFM."""

__version__ = "0.2.0"
