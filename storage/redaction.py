"""Keep what opens doors out of messages, logs and records."""

import logging
import re

HIDDEN = "…"
# Where an address begins: a scheme and any number of slashes, or two slashes alone. Slashes are lost where an address
# was taken for a path, doubled by JSON, and may be backslashes: readers of addresses accept all of that.
START = re.compile(
    r"(?:(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*:[/\\]+|(?<![A-Za-z])(?:https?|ftp):|[/\\]{2,})", re.I
)
# The user, password, host and port end at the first of these. A quote does not end them: passwords hold quotes.
END = re.compile(r"[/\\?#\s]")
PORT = re.compile(r"(?:\[[^\]@]*\]|[^:@\[]*)(?::\d*)?[.,;:)\]>]*")
SECRET_PARAMETER = re.compile(
    r"(?i)([?&;](?:[\w.-]*(?:token|secret|password|passwd|signature|credential|api[_-]?key)|sig|key|pwd)=)[^&;#\s\"']+"
)


def without_credentials(text: str) -> str:
    """A text with the user names, passwords and tokens of its addresses hidden, also of those no library would read."""
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
    """A JSON value with the credentials of every text in it hidden."""
    match value:
        case str():
            return without_credentials(value)
        case dict():
            return {name: redacted(item) for name, item in value.items()}
        case list() | tuple():
            return [redacted(item) for item in value]
    return value


def _end_of_user(text: str, start: int) -> int | None:
    """Where the `@` after the user and password is; None for an address without them."""
    found = END.search(text, start)
    stop = found.start() if found else len(text)
    authority = text[start:stop]
    if "@" not in authority:
        if PORT.fullmatch(authority):
            return None
        # No port is like this: a password that holds what ends a host. It goes on to the last `@` of its word or,
        # where it holds a space, to the next one.
        line = text[stop:].split("\n", 1)[0]
        word = re.split(r"\s", line, maxsplit=1)[0]
        at = word.rfind("@")
        at = line.find("@") if at < 0 else at
        return None if at < 0 else stop + at
    return start + authority.rindex("@")


def redact_logs() -> None:
    """Have every handler that is set up now, of Prefect's loggers too, hide credentials."""
    names = [name for name, logger in logging.Logger.manager.loggerDict.items() if isinstance(logger, logging.Logger)]
    for logger in (logging.getLogger(), *map(logging.getLogger, names)):
        for handler in logger.handlers:
            if not any(isinstance(present, RedactingFilter) for present in handler.filters):
                handler.addFilter(RedactingFilter())


class RedactingFilter(logging.Filter):
    """Hides credentials in what is logged, whatever its source."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place; it is always logged."""
        message = record.getMessage()
        hidden = without_credentials(message)
        if hidden != message:
            record.msg, record.args = hidden, None
        if record.exc_info and not record.exc_text:
            record.exc_text = without_credentials(logging.Formatter().formatException(record.exc_info))
        return True
