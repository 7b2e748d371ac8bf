"""`python -m flows` starts the `vecmill` command."""

from flows.cli.app import main

main()
