"""The `vecmill` command: one file for each group of commands, and their views."""
