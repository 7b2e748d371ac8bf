"""Sources that are not files: standard input and queries. Each is written once to a file in the workspace.

The file exists until its documents are stored, at the latest until this process ends.
"""

import atexit
import hashlib
import os
import shutil
import sys
from pathlib import Path

from storage.corpus.source_files import SourceFile
from storage.corpus.source_query import write_query_result
from storage.errors import CorpusError
from storage.layout import Workspace

STANDARD_INPUT = "-"
COPY_BYTES = 1 << 20
# By the path of the spooled file. A run asks several times for its source.
_SPOOLED: dict[Path, SourceFile] = {}


def spooled_input(workspace: Workspace) -> SourceFile:
    """Standard input, read to its end on the first call in this process. Raises CorpusError if it is empty."""
    path = workspace.spool / f"stdin-{os.getpid()}"
    if path in _SPOOLED:
        return _SPOOLED[path]
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise CorpusError("corpus.path=- reads standard input, but nothing is piped in; pipe text or name a file")
    workspace.spool.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, COPY_BYTES)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    if not path.stat().st_size:
        path.unlink()
        raise CorpusError("corpus.path=- reads standard input, which is empty; on a server, set corpus.path to a file")
    return _spooled("standard input", "standard input", path)


def spooled_query(workspace: Workspace, sql: str, database: Path | None, column: str) -> SourceFile:
    """The result of a query, which runs unless its result is still there. Raises as write_query_result."""
    digest = hashlib.sha256("\0".join((sql, str(database), column)).encode("utf-8", "replace")).hexdigest()
    path = workspace.spool / f"query-{digest[:16]}-{os.getpid()}.parquet"
    if path in _SPOOLED and path.exists():
        return _SPOOLED[path]
    write_query_result(sql, database, path, column)
    return _spooled("query", "the result of corpus.query", path)


def _spooled(name: str, shown_as: str, path: Path) -> SourceFile:
    state = path.stat()
    file = SourceFile(name, path, state.st_size, state.st_mtime_ns, shown_as=shown_as)
    # Cached before the file is removed.
    file.sha256()
    _SPOOLED[path] = file
    atexit.register(path.unlink, missing_ok=True)
    return file


def remove_spooled(workspace: Workspace, file: SourceFile) -> None:
    """Remove the file of a spooled source once its documents are stored; others are left alone."""
    if file.path.parent == workspace.spool:
        file.path.unlink(missing_ok=True)
