"""What Prefect reads from the environment when it is first imported, set for commands of ours."""

import logging
import os


def prepare_prefect() -> None:
    """Quiet Prefect down and keep it offline; what the user has set stays."""
    wanted = {
        # Our own lines tell the story; Prefect's would repeat every error as a traceback.
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,tasks,storage",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # Three cold starts at once fail with the default of 20.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    # Two background services warn about what they still have to send when a run fails early.
    for service in ("EventsWorker", "APILogWorker"):
        logging.getLogger(service).setLevel(logging.ERROR)
