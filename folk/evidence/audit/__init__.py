"""Questions to a finished study: where a number comes from, and whether its files still say so."""
