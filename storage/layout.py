"""Every path of a workspace, defined once.

A workspace is one folder. Stages are named by digest, releases by table:

    corpora/ tokens/ vocabularies/ encoded/ cooccurrences/ encodings/ models/ evaluations/ comparisons/ maps/
    document_vectors/
                                      <digest>/ with a manifest.json when complete
    tables/<table>.duckdb             the current release, a hard link; next to it a dangling .wal symlink, which
                                      stops even root from writing through that name
    tables/<table>/                   every kept release: v000001.duckdb, .parquet, .json, .report.html
    tables/<table>/candidates/        releases that the gates refused
    gallery.html                      an index page over all tables, written on request
    explorers/<table>.html            all words of a table to explore in a browser, written on request
    downloads/<address>/              what was fetched over a network, with record.json
    downloads/unpacked-<digest>/      the files of an archive
    spool/                            standard input and query results, until their documents are stored
    runs/<start>-<run>.parquet        duration, memory, metrics and outcome of each run
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from storage.errors import SettingsError, WorkspaceError
from storage.named_paths import named_path

WORKSPACE_VARIABLE = "VECMILL_WORKSPACE"
CACHE_VARIABLE = "VECMILL_CACHE"
REPORT_SUFFIX = ".report.html"
TABLE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Workspace:
    """The folder of all artefacts. Creating an instance doesn't touch the disk."""

    root: Path

    def stage_root(self, kind: str) -> Path:
        """Folder of all stages of one kind, such as `tokens`."""
        return self.root / kind

    def stage_folder(self, kind: str, digest: str) -> Path:
        """Folder of one complete stage."""
        return self.stage_root(kind) / digest

    def partial_folder(self, kind: str, digest: str) -> Path:
        """Folder in which a stage is being written."""
        return self.stage_root(kind) / f"{digest}.partial"

    def partial_folders(self, kind: str) -> dict[str, Path]:
        """Digest -> folder of each stage that is being written or was interrupted."""
        return {folder.name.removesuffix(".partial"): folder for folder in self.stage_root(kind).glob("*.partial")}

    def stage_lock(self, kind: str, digest: str) -> Path:
        """Lock file of one stage; the lock itself dies with its process."""
        return self.stage_root(kind) / f".{digest}.lock"

    @property
    def downloads(self) -> Path:
        """Folder of everything fetched over a network or unpacked from archives."""
        return self.root / "downloads"

    @property
    def spool(self) -> Path:
        """Folder for sources that are not files, while a run reads them."""
        return self.root / "spool"

    @property
    def runs_folder(self) -> Path:
        """Folder of the locks held by active runs."""
        return self.root / ".runs"

    def turn_lock(self, table: str) -> Path:
        """Lock file that a run holds from first stage to release, so that runs of a table are serialised."""
        return self.runs_folder / f"{checked_table_name(table)}.turn"

    @property
    def run_history(self) -> Path:
        """Folder with one Parquet file per run, whatever its outcome."""
        return self.root / "runs"

    @property
    def tables_root(self) -> Path:
        """Folder of all published tables."""
        return self.root / "tables"

    @property
    def gallery_file(self) -> Path:
        """The index page over all tables."""
        return self.root / "gallery.html"

    def explorer_file(self, table: str) -> Path:
        """The page with all words of a table."""
        return self.root / "explorers" / f"{checked_table_name(table)}.html"

    def table_file(self, table: str) -> Path:
        """The current release, under the name readers open."""
        return self.tables_root / f"{checked_table_name(table)}.duckdb"

    def releases_folder(self, table: str) -> Path:
        """Folder of every kept release of a table."""
        return self.tables_root / checked_table_name(table)

    def release_file(self, table: str, version: int, suffix: str = ".duckdb") -> Path:
        """One file of a kept release: `.duckdb`, `.parquet`, `.json` or `.report.html`."""
        return self.releases_folder(table) / f"v{version:06d}{suffix}"

    def candidates_folder(self, table: str) -> Path:
        """Folder of releases that failed their gates."""
        return self.releases_folder(table) / "candidates"

    def candidate_file(self, table: str, model_digest: str, suffix: str = ".duckdb") -> Path:
        """One file of a refused release."""
        return self.candidates_folder(table) / f"{model_digest}{suffix}"

    def table_lock(self, table: str) -> Path:
        """Lock file held while publishing to a table."""
        return self.releases_folder(table) / ".publish.lock"

    def mirror_lock(self, table: str) -> Path:
        """Lock file held while a table's releases are copied to its mirror."""
        return self.releases_folder(table) / ".mirror.lock"

    def check_writable(self) -> None:
        """Create the workspace and write a test file. Raises WorkspaceError if that fails."""
        probe = self.root / f".probe-{os.getpid()}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"1")
            probe.unlink()
        except OSError as error:
            raise WorkspaceError(
                f"the workspace {self.root} is not writable: {error.strerror or error}; "
                f"choose another folder with --workspace or {WORKSPACE_VARIABLE}"
            ) from error


def resolve_workspace(path: Path | str | None = None) -> Workspace:
    """The workspace at `path`, else at $VECMILL_WORKSPACE, else ./workspace.

    Raises NotAllowedError if it is outside VECMILL_ALLOWED_ROOTS.
    """
    chosen = path or os.environ.get(WORKSPACE_VARIABLE) or "workspace"
    return Workspace(named_path(chosen, "workspace").absolute())


def cache_folder() -> Path:
    """Folder of what can be built again, such as memory-mapped vectors: $VECMILL_CACHE, else the user's cache."""
    named = os.environ.get(CACHE_VARIABLE)
    shared = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named).expanduser().absolute() if named else Path(shared) / "vecmill"


def checked_table_name(table: str) -> str:
    """`table` itself. Raises SettingsError if it could escape the workspace or need quoting in a shell."""
    if not TABLE_NAME.fullmatch(table):
        raise SettingsError(
            f"{table[:80]!r} is not a valid table name: use 1 to 63 letters, digits, '_' or '-', "
            "starting with a letter or digit"
        )
    return table
