"""Query a published table from Python: the same macros that SQL users call, read-only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from storage.errors import ReleaseError
from storage.layout import TABLE_NAME, Workspace
from storage.releases.opening import open_release

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Longer input is not a mistyped word.
LONGEST_SUGGESTED = 60


@dataclass(frozen=True)
class Neighbor:
    """A word near another: the cosine of the two, and the word's rank by frequency, 1 = most frequent."""

    word: str
    similarity: float
    rank: int


@dataclass(frozen=True)
class Nearest:
    """The neighbours of a word. word: as the table spells it, which may differ in capitals from what was asked for."""

    word: str
    neighbors: list[Neighbor]


def nearest(workspace: Workspace, table: str, word: str, k: int = 10) -> list[Neighbor]:
    """The k words most similar to `word` in the current release of a table, the nearest first; as `find_nearest`."""
    return find_nearest(workspace, table, word, k).neighbors


def find_nearest(
    workspace: Workspace,
    table: str,
    word: str,
    k: int = 10,
    cut: Callable[[Path, str], list[str]] | None = None,
    *,
    max_rank: int | None = None,
    release: Path | None = None,
) -> Nearest:
    """The k words most similar to `word`, the nearest first.

    If it is unknown, a word that differs only in capitals is used.
    cut: release file and word -> its tokens; if the table holds them all, an unknown word is replaced by their mean.
    max_rank: search only the N most frequent words.  release: a file of the table, else the current one.

    Raises ReleaseError, which suggests similar spellings, for a word that the table does not hold, and for a table that
    is not published.
    """
    path = release or published_file(workspace, table)
    with open_release(path, scan=True) as connection:
        spelt = _spelling(connection, table, word)
        if spelt is None and cut and (tokens := cut(path, word)):
            composed = _nearest_to_mean(connection, tokens, k, max_rank)
            if composed is not None:
                return Nearest(" ".join(tokens), composed)
        if spelt is None and composes_words(connection):
            rows = connection.execute(
                "SELECT word, similarity, rank FROM nearest(?, k := ?, max_rank := ?)", [word, k, max_rank]
            ).fetchall()
            if rows:
                return Nearest(word, [Neighbor(*row) for row in rows])
        if spelt is None:
            raise _unknown_word(connection, table, word)
        found = connection.execute(
            "SELECT word, similarity, rank FROM nearest(?, k := ?, max_rank := ?)", [spelt, k, max_rank]
        ).fetchall()
    return Nearest(spelt, [Neighbor(*row) for row in found])


def composes_words(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether a release has n-grams, which vectors of unknown words are composed of."""
    views = connection.execute("SELECT 1 FROM duckdb_views() WHERE view_name = 'ngram_vectors'").fetchall()
    return bool(views)


def find_most_similar(
    release: Path,
    table: str,
    positive: Sequence[str],
    negative: Sequence[str] = (),
    k: int = 10,
    max_rank: int | None = None,
) -> list[Neighbor]:
    """The k words nearest to the sum of some words minus others, without these words; like SQL's `most_similar`.

    Releases of every format answer. Words are spelt as in `find_nearest`. Raises ReleaseError for an unknown word.
    """
    # Deferred: `vecmill nearest` needs neither.
    import numpy as np

    from storage.releases.macro_parts import MOST_NEIGHBORS

    with open_release(release, scan=True) as connection:
        signed = [(word, 1.0) for word in positive] + [(word, -1.0) for word in negative]
        spelt = []
        for word, _ in signed:
            spelling = _spelling(connection, table, word)
            if spelling is None:
                raise _unknown_word(connection, table, word)
            spelt.append(spelling)
        vectors = _vectors(connection, spelt)
        direction = np.sum([sign * vectors[word] for word, (_, sign) in zip(spelt, signed, strict=True)], axis=0)
        rows = connection.execute(
            "SELECT word, similarity, rank FROM nearest_to(?, k := ?, max_rank := ?)",
            [direction.tolist(), min(k, MOST_NEIGHBORS - len(spelt)) + len(spelt), max_rank],
        ).fetchall()
    return [Neighbor(*row) for row in rows if row[0] not in spelt][:k]


def _spelling(connection: duckdb.DuckDBPyConnection, table: str, word: str) -> str | None:
    """A word as the table spells it: exactly so, composed (NFC), or with other capitals; None if it has none."""
    if not is_unicode(word):
        raise ReleaseError(f"{word[:80]!r} is not valid UTF-8; {table!r} has no such word")
    spelt = connection.execute(
        # Text may have its accents as separate characters (NFD), as in file names on macOS.
        """SELECT word FROM word_vectors WHERE word = $1 OR lower(word) IN (lower($1), lower(nfc_normalize($1)))
           ORDER BY word <> $1, word <> nfc_normalize($1), rank LIMIT 1""",
        [word],
    ).fetchone()
    return None if spelt is None else str(spelt[0])


def _unknown_word(connection: duckdb.DuckDBPyConnection, table: str, word: str) -> ReleaseError:
    alike = words_spelt_alike(connection, word)
    hint = f"did you mean {', '.join(alike)}?" if alike else "words below vocabulary.min_count are left out"
    return ReleaseError(f"{table!r} has no word {word[:80]!r}; {hint}")


def _vectors(connection: duckdb.DuckDBPyConnection, words: Sequence[str]) -> dict[str, "NDArray[np.float32]"]:
    # Deferred: most queries name one word, and the table has it.
    import numpy as np

    found = connection.execute("SELECT word, vector FROM word_vectors WHERE word IN (SELECT unnest(?))", [list(words)])
    return {word: np.array(vector, np.float32) for word, vector in found.fetchall()}


def _nearest_to_mean(
    connection: duckdb.DuckDBPyConnection, tokens: list[str], k: int, max_rank: int | None
) -> list[Neighbor] | None:
    """The k words nearest to the mean of several, without these; None unless the table holds all."""
    import numpy as np

    vectors = _vectors(connection, tokens)
    if not all(token in vectors for token in tokens):
        return None
    mean = np.mean([vectors[token] for token in tokens], axis=0)
    rows = connection.execute(
        f"""SELECT word, array_cosine_similarity(vector, ?::FLOAT[{len(mean)}]) AS similarity, rank FROM word_vectors
            WHERE word NOT IN (SELECT unnest(?)) AND rank <= coalesce(?, rank)
            ORDER BY similarity DESC, rank LIMIT ?""",
        [mean.tolist(), tokens, max_rank, k],
    ).fetchall()
    return [Neighbor(*row) for row in rows]


def is_unicode(text: str) -> bool:
    """False for text with unpaired surrogates, Python's form of invalid UTF-8, which DuckDB rejects."""
    return text == text.encode("utf-8", errors="ignore").decode("utf-8")


def words_spelt_alike(connection: duckdb.DuckDBPyConnection, word: str, limit: int = 3) -> list[str]:
    """The words with the fewest letters changed, added, left out or swapped, the more frequent first of equals."""
    most = min(2, (len(word) - 1) // 2)
    if most < 1 or len(word) > LONGEST_SUGGESTED or "\0" in word:
        return []
    rows = connection.execute(
        """SELECT word FROM (
               SELECT word, rank, damerau_levenshtein(lower(word), lower($1)) AS edits FROM word_vectors
               WHERE abs(length(word) - length($1)) <= $2
           ) WHERE edits <= $2 ORDER BY edits, rank LIMIT $3""",
        [word, most, limit],
    ).fetchall()
    return [found for (found,) in rows]


def neighbors_of_words(path: Path, words: list[str], k: int = 5) -> list[tuple[str, list[Neighbor]]]:
    """Words of a release file, each with its k nearest, in the order of the words."""
    found: dict[str, list[Neighbor]] = {word: [] for word in words}
    with open_release(path) as connection:
        for query, *neighbor in connection.execute(
            "SELECT query, word, similarity, rank FROM nearest_many(?, k := ?)", [words, k]
        ).fetchall():
            found[query].append(Neighbor(*neighbor))
    return list(found.items())


def published_file(workspace: Workspace, table: str) -> Path:
    """The current release of a table. Raises ReleaseError that lists the known ones."""
    path = workspace.table_file(table)
    if not path.is_file():
        known = table_names(workspace)
        tables = f"the tables are {', '.join(known)}" if known else "nothing has been published yet"
        raise ReleaseError(f"no table {table!r} in {workspace.root}: {tables}")
    return path


def table_names(workspace: Workspace) -> list[str]:
    """The published tables of a workspace, in alphabetical order."""
    if not workspace.tables_root.is_dir():
        return []
    return sorted(
        file.stem
        for file in workspace.tables_root.glob("*.duckdb")
        if file.is_file() and TABLE_NAME.fullmatch(file.stem)
    )
