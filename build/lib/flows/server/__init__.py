"""Prefect server and worker: the local stack, deployments, automations and notifications."""
