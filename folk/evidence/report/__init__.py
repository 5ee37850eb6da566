"""Tables, figures and the page: every printed number comes from cells.parquet."""
