"""Orchestration: the Prefect flows, their server, and the `vecmill` command."""
