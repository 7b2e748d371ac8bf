"""Which Prefect server the commands talk to: the one that Prefect's settings name, else that of `vecmill up`."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows.stack_record import running_stack
from storage.errors import ServerError
from storage.redaction import without_credentials

HEALTH_TIMEOUT_SECONDS = 30


def is_healthy(server: str, timeout_seconds: float = HEALTH_TIMEOUT_SECONDS) -> bool:
    """Whether a Prefect API answers at this address, such as http://127.0.0.1:4200/api."""
    secret = PREFECT_API_AUTH_STRING.value()
    auth = tuple(secret.get_secret_value().split(":", 1)) if secret else None
    try:
        return httpx.get(f"{server}/health", auth=auth, timeout=timeout_seconds).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


@contextmanager
def known_server() -> Iterator[str]:
    """Have Prefect's clients talk to the server that is known; gives its address.

    Raises ServerError if none is known or none answers.
    """
    running = running_stack()
    server = PREFECT_API_URL.value() or (running.api_url if running else None)
    if not server:
        raise ServerError("no Prefect server is known: `vecmill up` starts one here, or set PREFECT_API_URL to yours")
    if not is_healthy(server):
        address = without_credentials(server)
        raise ServerError(f"no Prefect server answers at {address}; start it, or set PREFECT_API_URL to another")
    with temporary_settings({PREFECT_API_URL: server}):
        yield server
