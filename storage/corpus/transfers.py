"""Transfer one file over HTTP: conditional, resumed, retried with jitter."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Self

import httpx
from pydantic import BaseModel, ConfigDict
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter

from storage.corpus.addresses import check_address, with_secrets
from storage.redaction import RedactingFilter, without_credentials

# Statuses worth a retry: request timeout, too many requests, and failures of the server or a gateway.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
# Offline, more would only delay the error.
CONNECTION_ATTEMPTS = 3
NO_ANSWER = "no answer"
HINTS = {
    401: "the server requires credentials",
    403: "the server does not allow it; check credentials and whether the link has expired",
    404: "the server has no such file; check the address",
    410: "the file was removed from the server",
}


# It logs the address of each request.
logging.getLogger("httpx").addFilter(RedactingFilter())


class TransferError(Exception):
    """A transfer that failed permanently. reason: NO_ANSWER if the server could not be reached or was busy."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class _PassingError(Exception):
    """A failure that a retry may avoid. wait: seconds that the server asks for."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True)
class Patience:
    """How long to try.

    attempts: in a row that gain less than `gain` bytes.  first_wait, longest_wait: seconds between attempts, doubled
    each time, with jitter.  timeout: seconds without data.  slowest: bytes per second over `timeout`.
    """

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 120.0
    timeout: float = 30.0
    slowest: int = 1024
    gain: int = 1 << 20

    def once(self) -> Self:
        """To check a copy that already exists: fewer attempts."""
        return replace(self, attempts=min(self.attempts, 2))


class Validators(BaseModel):
    """What identifies the content on the server; empty if it sends nothing."""

    model_config = ConfigDict(frozen=True)

    etag: str = ""
    last_modified: str = ""

    @property
    def known(self) -> bool:
        """Whether the server sent either."""
        return bool(self.etag or self.last_modified)

    @property
    def for_range(self) -> str:
        """The validator for If-Range, which must be a strong one (RFC 9110, 13.1.5)."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified


@dataclass(frozen=True)
class Answer:
    """The start of an answer. start: first byte that it sends.  total: bytes of the whole file, None if unknown."""

    start: int
    total: int | None
    validators: Validators
    disposition: str | None


@dataclass
class Transfer:
    """The transfer of an address into `part`, from where an earlier transfer of the same content stopped.

    known: validators of a complete copy.  held: of what `part` holds.  started: called before the first byte is stored;
    what it raises ends the transfer.  advanced: called with the position and the total after every block.
    """

    address: str
    part: Path
    known: Validators
    held: Validators
    started: Callable[[Answer], None]
    advanced: Callable[[int, int | None], None]
    most_bytes: int
    patience: Patience

    def __post_init__(self) -> None:
        self._shown = without_credentials(self.address)
        self._farthest = self._size
        self._failures = 0
        self._backoff = wait_exponential_jitter(
            multiplier=self.patience.first_wait, max=self.patience.longest_wait, jitter=self.patience.first_wait
        )

    def run(self) -> Answer | None:
        """Transfer; None if the server says that the complete copy is unchanged. Raises TransferError."""
        retrying = Retrying(
            retry=retry_if_exception_type(_PassingError), stop=self._is_hopeless, wait=self._wait, reraise=True
        )
        try:
            return retrying(self._attempt)
        except _PassingError as error:
            raise TransferError(
                f"{self._shown} cannot be downloaded: {error}; what was fetched is kept, so run the same command again",
                NO_ANSWER,
            ) from error

    @property
    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _is_hopeless(self, state: RetryCallState) -> bool:
        """Count attempts in a row that gained little; also end when the server asks for too long a wait."""
        size = self._size
        self._failures = 1 if size >= self._farthest + self.patience.gain else self._failures + 1
        self._farthest = max(size, self._farthest)
        error = state.outcome.exception() if state.outcome else None
        too_long = isinstance(error, _PassingError) and (error.wait or 0) > self.patience.longest_wait
        unreachable = isinstance(error, _PassingError) and isinstance(error.__cause__, httpx.ConnectError)
        most = min(self.patience.attempts, CONNECTION_ATTEMPTS) if unreachable else self.patience.attempts
        return too_long or self._failures >= most

    def _wait(self, state: RetryCallState) -> float:
        """Seconds until the next attempt; not before the time that the server asks for."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait if isinstance(error, _PassingError) else None
        return max(asked or 0.0, self._backoff(state))

    def _attempt(self) -> Answer | None:
        """One request. Raises TransferError, or _PassingError if another attempt may succeed."""
        try:
            with (
                httpx.Client(
                    follow_redirects=True,
                    timeout=self.patience.timeout,
                    auth=_netrc(),
                    # Also for each redirect.
                    event_hooks={"request": [lambda request: check_address(str(request.url))]},
                ) as client,
                client.stream("GET", with_secrets(self.address), headers=self._headers()) as response,
            ):
                return self._receive(response)
        except httpx.TooManyRedirects as error:
            raise TransferError(f"{self._shown} redirects in a loop; check the address") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise TransferError(f"{self._shown} cannot be downloaded: {error}; check the address") from error
        except httpx.TransportError as error:
            message = str(error) or type(error).__name__
            raise _PassingError(without_credentials(message)) from error

    def _headers(self) -> dict[str, str]:
        # Compression would make positions in the file and in the transfer differ.
        headers = {"Accept-Encoding": "identity"}
        size = self._size
        if self.known.etag:
            headers["If-None-Match"] = self.known.etag
        elif self.known.last_modified:
            headers["If-Modified-Since"] = self.known.last_modified
        if size and self.held.for_range:
            headers |= {"Range": f"bytes={size}-", "If-Range": self.held.for_range}
        return headers

    def _receive(self, response: httpx.Response) -> Answer | None:
        status = response.status_code
        if status == 304 and self.known.known:
            return None
        if status in PASSING:
            raise _PassingError(f"the server answers {status} {response.reason_phrase}", _retry_after(response))
        if status == 416:
            self.part.unlink(missing_ok=True)
            raise _PassingError("the server cannot continue the transfer")
        if status not in (200, 206):
            hint = HINTS.get(status, "check the address")
            raise TransferError(f"{self._shown}: status {status} {response.reason_phrase}: {hint}")
        answer = self._answer(response)
        if not answer.start:
            # Before its validators are recorded, or a kill could leave old bytes with new validators.
            self.part.write_bytes(b"")
        self.started(answer)
        self.held = answer.validators
        self._store(response, answer)
        return answer

    def _answer(self, response: httpx.Response) -> Answer:
        headers = response.headers
        length = headers.get("Content-Length", "")
        total = int(length) if length.isdigit() else None
        start = 0
        if response.status_code == 206:
            start, total = _content_range(headers.get("Content-Range", ""))
            if start != self.part.stat().st_size:
                self.part.unlink(missing_ok=True)
                raise _PassingError("the server continues at another position")
        return Answer(
            start=start,
            total=total,
            validators=Validators(etag=headers.get("ETag", ""), last_modified=headers.get("Last-Modified", "")),
            disposition=headers.get("Content-Disposition"),
        )

    def _store(self, response: httpx.Response, answer: Answer) -> None:
        position = answer.start
        window, window_start = time.monotonic(), position
        with self.part.open("ab" if answer.start else "wb") as file:
            for block in response.iter_raw():
                position += file.write(block)
                if position > self.most_bytes:
                    limit = f"{self.most_bytes / 1e9:,.2f} GB"
                    raise TransferError(f"{self._shown} exceeds {limit}, the limit; raise corpus.max_download_gb")
                self.advanced(position, answer.total)
                now = time.monotonic()
                if now - window > self.patience.timeout:
                    if position - window_start < self.patience.slowest * (now - window):
                        raise _PassingError(f"the server sends less than {self.patience.slowest:,} bytes per second")
                    window, window_start = now, position
        if answer.total is not None and position != answer.total:
            self.part.unlink()
            raise _PassingError(f"the server sent {position:,} bytes instead of {answer.total:,}")


def _netrc() -> httpx.Auth | None:
    """User and password by host from $NETRC or ~/.netrc, if there is such a file."""
    path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    return httpx.NetRCAuth(str(path)) if path.is_file() else None


def _content_range(text: str) -> tuple[int, int | None]:
    """First position and total of a Content-Range header, such as `bytes 5-9/10`; (-1, None) if it is invalid."""
    span, _, total = text.removeprefix("bytes ").partition("/")
    start = span.partition("-")[0]
    return (int(start), int(total) if total.isdigit() else None) if start.isdigit() else (-1, None)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks to wait, from a number or a date."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
