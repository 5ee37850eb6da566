"""Tasks of the stages, with torch; each is imported when its stage runs."""
