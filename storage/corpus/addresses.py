"""Addresses of corpora: which ones a setting may use, and the safe names of what they lead to.

If VECMILL_ALLOWED_HOSTS lists hosts, no other host is contacted, not even by a redirect. If only VECMILL_ALLOWED_ROOTS
is set, no address is allowed: a server that restricts files would otherwise fetch what its own network can reach.
"""

import os
import re
from email.message import Message
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from storage.errors import NotAllowedError, SettingsError
from storage.named_paths import ROOTS_VARIABLE, URL
from storage.redaction import HIDDEN, without_credentials

HOSTS_VARIABLE = "VECMILL_ALLOWED_HOSTS"
WEB = frozenset({"http", "https"})
# Scheme -> the extra that installs its fsspec implementation.
OBJECT_STORES = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "hf": "hf"}
LONGEST_NAME = 120
UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|\[\]]+")


# Redacted address -> the address with its credentials, which settings, records and Prefect's database never contain.
_SECRETS: dict[str, str] = {}


def remember_secrets(address: str) -> None:
    """Keep the credentials of an address in this process only, for `with_secrets`."""
    if is_address(address) and (shown := without_credentials(address)) != address:
        _SECRETS[shown] = address


def with_secrets(address: str) -> str:
    """An address with its remembered credentials. Raises SettingsError if they were removed and are unknown here."""
    if HIDDEN in address and address not in _SECRETS:
        raise SettingsError(
            f"corpus.path: the credentials of {address} are not stored with a run; put user and password in ~/.netrc "
            "of the machine that runs it and leave them out of the address, or use vecmill build"
        )
    return _SECRETS.get(address, address)


def is_address(path: str) -> bool:
    """Whether a corpus.path is an address rather than a file."""
    return URL.match(path) is not None


def check_address(address: str, setting: str = "corpus.path") -> None:
    """Raise SettingsError for an address that vecmill cannot read, NotAllowedError for a host that is not allowed."""
    shown = without_credentials(address)
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SettingsError(f"{setting}: {shown} is not a valid address: {error}") from error
    if parts.scheme not in WEB | OBJECT_STORES.keys():
        known = ", ".join(f"{scheme}://" for scheme in (*sorted(WEB), *OBJECT_STORES))
        raise SettingsError(f"{setting}: {shown} is a URL that vecmill does not read; use {known} or a file")
    if not host:
        raise SettingsError(f"{setting}: {shown} is a URL without a host; fix it")
    if not _is_allowed(parts.scheme, host, port):
        raise NotAllowedError(
            f"{setting}: {parts.scheme}://{host} is not an address that {HOSTS_VARIABLE} allows; use a file, or ask "
            "whoever runs the workers to add its host"
        )


def _is_allowed(scheme: str, host: str, port: int | None) -> bool:
    text = os.environ.get(HOSTS_VARIABLE)
    if text is None:
        return os.environ.get(ROOTS_VARIABLE) is None
    # A bucket is written with its scheme, so that no web host of that name is allowed by it.
    spelt = {host, f"{host}:{port}"} if scheme in WEB else {f"{scheme}://{host}"}
    patterns = [part.strip().lower() for part in text.split(",") if part.strip()]
    return any(fnmatchcase(name, pattern) for name in spelt for pattern in patterns)


def file_name(address: str, disposition: str | None = None) -> str:
    """A safe name for the file at an address, with all its suffixes.

    disposition: the Content-Disposition header, which takes precedence.
    """
    named = None
    if disposition:
        message = Message()
        message["Content-Disposition"] = disposition
        named = message.get_filename()
    name = named or unquote(PurePosixPath(urlsplit(address).path).name)
    return safe_name(name)


def safe_name(name: str) -> str:
    """A name without folders, hidden-file prefixes and characters that a shell or another system would interpret."""
    last = re.split(r"[/\\]", name)[-1]
    clean = UNSAFE.sub("_", last).strip(" ").lstrip("._")
    if len(clean.encode()) > LONGEST_NAME:
        suffixes = "".join(PurePosixPath(clean).suffixes[-2:])[-20:]
        clean = clean.encode()[: LONGEST_NAME - 20].decode(errors="ignore") + suffixes
    return clean or "download"
