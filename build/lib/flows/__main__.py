"""`python -m flows` runs the `vecmill` command."""

from flows.cli.app import main

main()
