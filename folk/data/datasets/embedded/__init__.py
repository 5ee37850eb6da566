"""Parts of data sets that ship with this package, as their licenses allow."""
