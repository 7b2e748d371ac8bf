"""Keep what opens doors out of messages, logs and records."""

import re

# The part of a URL between `//` and `@`.
USER_INFO = re.compile(r"(?<=//)[^/@\s]+(?=@)")
HIDDEN = "…"


def without_credentials(text: str) -> str:
    """A text with the user names and passwords of its URLs hidden."""
    return USER_INFO.sub(HIDDEN, text)
