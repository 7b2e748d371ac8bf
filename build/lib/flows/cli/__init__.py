"""The `vecmill` command: one module per group of commands, and their views."""
