"""From predictions to cells, claims and verdicts."""
