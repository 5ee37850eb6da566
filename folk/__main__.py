"""`python -m folk`."""

from folk.cli.app import main

main()
