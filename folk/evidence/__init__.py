"""Records, results, audit and report of a study, without torch."""
