"""Environment variables that Prefect reads on import, set for our commands."""

import logging
import os


def prepare_prefect() -> None:
    """Silence Prefect's logs and disable its telemetry; variables set by the user take precedence."""
    wanted = {
        # We log our own lines; Prefect would repeat every error as a traceback.
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,tasks,storage",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # Our lines also come from outside runs, and go to the terminal.
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        # With the default of 20, three simultaneous cold starts fail.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    # Two background services warn about unsent items when a run fails early.
    for service in ("EventsWorker", "APILogWorker"):
        logging.getLogger(service).setLevel(logging.ERROR)
