"""Find the Prefect server: the one in Prefect's settings, else that of `vecmill up`."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_KEY,
    PREFECT_API_URL,
    PREFECT_SERVER_API_AUTH_STRING,
    temporary_settings,
)
from prefect.settings.legacy import Setting
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_fixed

from flows.server.stack_record import running_stack
from storage.errors import ServerError
from storage.redaction import without_credentials

HEALTH_TIMEOUT_SECONDS = 30
# `vecmill up` restarts a server that has died; on a busy machine it takes this long until it answers.
RESTART_SECONDS = 90
REFUSED = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


def health_problem(server: str, timeout_seconds: float = HEALTH_TIMEOUT_SECONDS) -> str | None:
    """Why no Prefect API answers at this address, e.g. http://127.0.0.1:4200/api, or None; needs no password."""
    try:
        status = httpx.get(f"{server}/health", timeout=timeout_seconds).status_code
    except httpx.TimeoutException:
        return f"no answer within {timeout_seconds:g} s"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return without_credentials(str(error)) or type(error).__name__
    return None if status == httpx.codes.OK else f"HTTP status {status}"


def _lasting_problem(server: str, seconds: float) -> str | None:
    """The problem of a server that has not answered for so many seconds."""

    def last(state: RetryCallState) -> str | None:
        assert state.outcome
        found: str | None = state.outcome.result()
        return found

    retrying = Retrying(
        retry=retry_if_result(bool), wait=wait_fixed(0.5), stop=stop_after_delay(seconds), retry_error_callback=last
    )
    return retrying(health_problem, server)


def check_own_password() -> None:
    """Raise ServerError unless the worker of `vecmill up` can log in to its server."""
    server, client = _password(PREFECT_SERVER_API_AUTH_STRING), _password(PREFECT_API_AUTH_STRING)
    if server and server != client:
        found = "has a different value" if client else "is not set"
        raise ServerError(
            "PREFECT_SERVER_API_AUTH_STRING sets the server's password, but PREFECT_API_AUTH_STRING, which the worker "
            f"and the commands log in with, {found}; set both to the same value"
        )


def _check_password(server: str) -> None:
    """Raise ServerError if the server rejects this command's credentials."""
    password, key = _password(PREFECT_API_AUTH_STRING), _secret(PREFECT_API_KEY)
    token = f"Basic {b64encode(password.encode()).decode()}" if password else f"Bearer {key}" if key else None
    try:
        answer = httpx.get(
            f"{server}/admin/version", headers={"Authorization": token} if token else {}, timeout=HEALTH_TIMEOUT_SECONDS
        )
    except httpx.HTTPError as error:
        raise ServerError(f"{without_credentials(server)} does not answer: {error}") from error
    if answer.status_code in REFUSED:
        found = "rejects the password in" if token else "requires a password; set"
        raise ServerError(
            f"the Prefect server at {without_credentials(server)} {found} PREFECT_API_AUTH_STRING; "
            "it must match the server's PREFECT_SERVER_API_AUTH_STRING, e.g. admin:password"
        )


def _password(setting: Setting) -> str:
    """Password from a setting. Must be ASCII: otherwise Prefect's server answers every request with 500."""
    found = _secret(setting)
    if not found.isascii():
        raise ServerError(f"{setting.name} has non-ASCII characters, which Prefect's server rejects; use ASCII only")
    return found


def _secret(setting: Setting) -> str:
    """Value of a setting that is plain text or a secret, depending on the Prefect version."""
    value = setting.value()
    return str(value.get_secret_value() if hasattr(value, "get_secret_value") else value or "")


@contextmanager
def known_server() -> Iterator[str]:
    """Point Prefect's clients to the configured server and yield its address.

    Waits for the server of `vecmill up` while that starts or restarts it. Raises ServerError if no server is
    configured, it does not answer, or it rejects the password.
    """
    running = running_stack()
    server = PREFECT_API_URL.value() or (running.api_url if running else None)
    if not server:
        raise ServerError("no Prefect server configured: start one with `vecmill up`, or set PREFECT_API_URL")
    is_supervised = running is not None and server == running.api_url
    if problem := _lasting_problem(server, RESTART_SECONDS if is_supervised else 0):
        address = without_credentials(server)
        raise ServerError(f"no Prefect server answers at {address}: {problem}; start it, or change PREFECT_API_URL")
    _check_password(server)
    with temporary_settings({PREFECT_API_URL: server}):
        yield server
