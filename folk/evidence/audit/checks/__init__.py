"""One file for each concern of `verify`; each check reads the subject and yields findings."""
