"""What happens and in which order: the Prefect flows and the `vecmill` command."""
