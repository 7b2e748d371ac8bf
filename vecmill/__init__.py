"""vecmill for Python programs: open a published table of word vectors, query it, hand it to other libraries.

    import vecmill

    table = vecmill.open("movie-reviews")
    table.nearest("terrible", k=5)

Importing it takes milliseconds: NumPy, DuckDB and all other libraries are imported when they are needed.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.errors import ReleaseError, UnknownWordError, VecmillError
    from vecmill.search import Neighbor
    from vecmill.table import Table
    from vecmill.text_vectorizer import TextVectorizer
    from vecmill.torch_embedding import WordEmbedding

__all__ = [
    "open",
    "Table",
    "Neighbor",
    "TextVectorizer",
    "WordEmbedding",
    "VecmillError",
    "ReleaseError",
    "UnknownWordError",
]

_HOMES = {
    "Table": "vecmill.table",
    "Neighbor": "vecmill.search",
    "TextVectorizer": "vecmill.text_vectorizer",
    "WordEmbedding": "vecmill.torch_embedding",
    "VecmillError": "storage.errors",
    "ReleaseError": "storage.errors",
    "UnknownWordError": "storage.errors",
}


def open(path_or_name: str | Path, workspace: str | Path | None = None, version: int | str | None = None) -> "Table":
    """Open a table for reading.

    path_or_name: name of a table in a workspace, path of a release file (anything with a slash or `.duckdb`), or
    address of one (http, https, s3, …), which is fetched into the cache and fetched again only if it changed.
    workspace: folder; default: $VECMILL_WORKSPACE, then ./workspace.
    version: a kept version of a table; default: the current release. A Table keeps reading that one.

    Raises ReleaseError if the table, version or file is missing or damaged.
    """
    from vecmill.table import open_table

    return open_table(path_or_name, workspace, version)


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'vecmill' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
