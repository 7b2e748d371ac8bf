"""Remove credentials from messages, logs and records."""

import logging
import re

HIDDEN = "…"
# Start of a URL: a scheme and any number of slashes, or two slashes alone. Treating a URL as a path drops slashes, JSON
# doubles them, and URL parsers accept backslashes too.
START = re.compile(
    r"(?:(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*:[/\\]+|(?<![A-Za-z])(?:https?|ftp):|[/\\]{2,})", re.I
)
# End of user, password, host and port. A quote doesn't end them: passwords may contain quotes.
END = re.compile(r"[/\\?#\s]")
PORT = re.compile(r"(?:\[[^\]@]*\]|[^:@\[]*)(?::\d*)?[.,;:)\]>]*")
SECRET_PARAMETER = re.compile(
    r"(?i)([?&;](?:[\w.-]*(?:token|secret|password|passwd|signature|credential|api[_-]?key)|sig|key|pwd)=)[^&;#\s\"']+"
)


def without_credentials(text: str) -> str:
    """Hide user names, passwords and tokens in the URLs of a text, even in malformed URLs."""
    parts, done = [], 0
    for start in START.finditer(text):
        if start.end() <= done:
            continue
        end = _end_of_user(text, start.end())
        if end is not None:
            parts += [text[done : start.end()], HIDDEN]
            done = end
    return SECRET_PARAMETER.sub(rf"\1{HIDDEN}", "".join(parts) + text[done:])


def redacted(value: object) -> object:
    """A JSON value with the credentials in all its strings hidden."""
    match value:
        case str():
            return without_credentials(value)
        case dict():
            return {name: redacted(item) for name, item in value.items()}
        case list() | tuple():
            return [redacted(item) for item in value]
    return value


def _end_of_user(text: str, start: int) -> int | None:
    """Position of the `@` after user and password; None for a URL without them."""
    found = END.search(text, start)
    stop = found.start() if found else len(text)
    authority = text[start:stop]
    if "@" not in authority:
        if PORT.fullmatch(authority):
            return None
        # Not a valid port, so this is a password with a character that ends a host. It extends to the last `@` of its
        # word or, if it contains a space, to the next one.
        line = text[stop:].split("\n", 1)[0]
        word = re.split(r"\s", line, maxsplit=1)[0]
        at = word.rfind("@")
        at = line.find("@") if at < 0 else at
        return None if at < 0 else stop + at
    return start + authority.rindex("@")


def redact_logs() -> None:
    """Add a redacting filter to every handler configured so far, Prefect's included."""
    names = [name for name, logger in logging.Logger.manager.loggerDict.items() if isinstance(logger, logging.Logger)]
    for logger in (logging.getLogger(), *map(logging.getLogger, names)):
        for handler in logger.handlers:
            if not any(isinstance(present, RedactingFilter) for present in handler.filters):
                handler.addFilter(RedactingFilter())


class RedactingFilter(logging.Filter):
    """Hides credentials in what is logged, whatever its source."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record in place; always returns True."""
        message = record.getMessage()
        hidden = without_credentials(message)
        if hidden != message:
            record.msg, record.args = hidden, None
        if record.exc_info and not record.exc_text:
            record.exc_text = without_credentials(logging.Formatter().formatException(record.exc_info))
        return True
