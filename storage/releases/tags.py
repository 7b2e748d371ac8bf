"""Names for versions of a table, such as `stable`, in `tags.json` next to its releases.

A tag names one version and can be moved. A tagged version is not pruned.
"""

import json
import re

from pydantic import TypeAdapter

from storage.disk import replaced_file
from storage.errors import ReleaseError, SettingsError
from storage.layout import Workspace
from storage.releases.ledger import TAGS

# Not a number, which would be a version.
TAG_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")
_STORED = TypeAdapter(dict[str, int])


def checked_tag(name: str) -> str:
    """`name` itself. Raises SettingsError if it is not a valid tag."""
    if not TAG_NAME.fullmatch(name):
        raise SettingsError(
            f"{name[:80]!r} is not a valid tag: use 1 to 63 letters, digits, '.', '_' or '-', starting with a letter"
        )
    return name


def read_tags(workspace: Workspace, table: str) -> dict[str, int]:
    """Tag -> version, in alphabetical order. Raises ReleaseError if `tags.json` is damaged."""
    path = workspace.releases_folder(table) / TAGS
    try:
        tags = _STORED.validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{path} is damaged: not a JSON object of versions; fix or remove it") from error
    return dict(sorted(tags.items()))


def write_tags(workspace: Workspace, table: str, tags: dict[str, int]) -> None:
    """Replace `tags.json` atomically. The caller holds the table's lock."""
    with replaced_file(workspace.releases_folder(table) / TAGS) as written:
        written.write_text(json.dumps(dict(sorted(tags.items()))) + "\n", encoding="utf-8")
