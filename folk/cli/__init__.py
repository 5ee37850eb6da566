"""The command line: a sub-command per stage, and those that read what the stages left."""
