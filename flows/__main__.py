"""`python -m flows` starts the `vecmill` command."""

from flows.cli import main

main()
