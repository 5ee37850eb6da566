"""What the stages do, with torch; each is imported when its stage runs."""
