"""What changed between two releases of a table: metrics, settings, vocabulary, and the neighbours of words."""

import duckdb
from pydantic import BaseModel, ConfigDict

from storage.errors import ReleaseError
from storage.layout import Workspace
from storage.models.rows import WHOLE
from storage.releases.history import find_release
from storage.releases.macros import drift_query
from storage.releases.opening import open_release, read_release_row
from storage.releases.schema import quoted

DRIFT_WORDS = 1000
DRIFT_NEIGHBORS = 10


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)


class MetricChange(_Row):
    """A metric in both releases; None if one has no value. comparable: both were measured with the same.

    change_low, change_high: 95 % interval of `newer` minus `older` on the pairs or questions that both cover; None if
    it was not computed.
    """

    metric: str
    older: float | None
    newer: float | None
    comparable: bool
    change_low: float | None = None
    change_high: float | None = None


class SettingChange(_Row):
    """A setting that differs, as JSON text; None if one release does not have it."""

    name: str
    older: str | None
    newer: str | None


class WordDrift(_Row):
    """How the neighbours of a word changed. rank: in the newer release. overlap: share that stayed, 0 to 1."""

    word: str
    rank: int
    overlap: float
    gained: list[str]
    lost: list[str]


class ReleaseDiff(_Row):
    """Two releases side by side. mean_overlap: None if they share too few words. drift: most changed first."""

    table: str
    older: str
    newer: str
    shared_words: int
    gained_words: int
    lost_words: int
    mean_overlap: float | None
    metrics: list[MetricChange]
    settings: list[SettingChange]
    drift: list[WordDrift]


def compare_releases(
    workspace: Workspace,
    table: str,
    older: str,
    newer: str,
    words: int = DRIFT_WORDS,
    neighbors: int = DRIFT_NEIGHBORS,
) -> ReleaseDiff:
    """Compare two releases, each named by its version or by the first letters of a candidate's model.

    words: how many of the most frequent shared words are compared.  neighbors: how many neighbours of each.
    Works for releases of any format version. Raises ReleaseError if one of them is missing or unreadable.
    """
    paths = {"older": find_release(workspace, table, older), "newer": find_release(workspace, table, newer)}
    for path in paths.values():
        with open_release(path) as connection:
            read_release_row(connection, path)  # names a file that is damaged, or too new for this vecmill
    try:
        with duckdb.connect() as connection:
            for name, path in paths.items():
                connection.execute(f"ATTACH {quoted(str(path))} AS {name} (READ_ONLY)")
            shared, gained, lost = _shared_words(connection)
            drift = _drift(connection, words, neighbors)
            return ReleaseDiff(
                table=table,
                older=older,
                newer=newer,
                shared_words=shared,
                gained_words=gained,
                lost_words=lost,
                mean_overlap=sum(word.overlap for word in drift) / len(drift) if drift else None,
                metrics=_metrics(connection),
                settings=_settings(connection),
                drift=drift,
            )
    except duckdb.Error as error:
        files = " and ".join(map(str, paths.values()))
        raise ReleaseError(f"{files} cannot be compared: {error}; `vecmill verify {table}` checks them") from error


def _shared_words(connection: duckdb.DuckDBPyConnection) -> tuple[int, int, int]:
    """Words that both have, that only the newer has, and that only the older has."""
    ((both, only_newer, only_older),) = connection.execute(
        """SELECT count(*) FILTER (n.word IS NOT NULL AND o.word IS NOT NULL),
                  count(*) FILTER (o.word IS NULL), count(*) FILTER (n.word IS NULL)
           FROM newer.word_vectors n FULL JOIN older.word_vectors o ON n.word = o.word"""
    ).fetchall()
    return int(both), int(only_newer), int(only_older)


def _drift(connection: duckdb.DuckDBPyConnection, words: int, neighbors: int) -> list[WordDrift]:
    query = drift_query("newer.word_vectors", "older.word_vectors")
    connection.execute(f"CREATE MACRO drift(words, k, max_rank) AS TABLE {query}")
    found = connection.execute("FROM drift(?, ?, NULL)", [words, neighbors]).fetchall()
    return [WordDrift(**dict(zip(WordDrift.model_fields, row, strict=True))) for row in found]


def _metrics(connection: duckdb.DuckDBPyConnection) -> list[MetricChange]:
    found = connection.execute(
        """SELECT coalesce(n.metric, o.metric), o.value, n.value,
                  coalesce(n.gold_digest = o.gold_digest, false)
           FROM (FROM newer.evaluation WHERE section = $1) n
           FULL JOIN (FROM older.evaluation WHERE section = $1) o ON n.metric = o.metric
           ORDER BY 1""",
        [WHOLE],
    ).fetchall()
    return [
        MetricChange(metric=metric, older=older, newer=newer, comparable=comparable)
        for metric, older, newer, comparable in found
    ]


def _settings(connection: duckdb.DuckDBPyConnection) -> list[SettingChange]:
    found = connection.execute(
        """SELECT coalesce(n.name, o.name), o.value, n.value
           FROM newer.settings n FULL JOIN older.settings o ON n.name = o.name
           WHERE n.value IS DISTINCT FROM o.value ORDER BY 1"""
    ).fetchall()
    return [SettingChange(**dict(zip(SettingChange.model_fields, row, strict=True))) for row in found]
