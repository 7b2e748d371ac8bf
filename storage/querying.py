"""Ask a published table from Python: the same macros that SQL users call, read-only."""

from dataclasses import dataclass
from pathlib import Path

from storage.errors import ReleaseError
from storage.layout import TABLE_NAME, Workspace
from storage.release_reader import open_release


@dataclass(frozen=True)
class Neighbor:
    """A word near another: the cosine of the two, and the word's place by frequency, 1 = most frequent."""

    word: str
    similarity: float
    rank: int


def nearest(workspace: Workspace, table: str, word: str, k: int = 10) -> list[Neighbor]:
    """The k words most like `word` in the current release of a table, the nearest first.

    Raises ReleaseError for a table that is not published or a word that it does not hold.
    """
    path = published_file(workspace, table)
    with open_release(path) as connection:
        known = connection.execute("SELECT 1 FROM word_vectors WHERE word = ?", [word]).fetchall()
        if not known:
            lower = connection.execute("SELECT 1 FROM word_vectors WHERE word = lower(?)", [word]).fetchall()
            hint = "it is there in lower case" if lower else "words below vocabulary.min_count are left out"
            raise ReleaseError(f"{table!r} has no word {word[:80]!r}; {hint}")
        found = connection.execute("SELECT word, similarity, rank FROM nearest(?, k := ?)", [word, k]).fetchall()
    return [Neighbor(*row) for row in found]


def example_neighbors(path: Path, words: int = 5, k: int = 5) -> list[tuple[str, list[Neighbor]]]:
    """Some frequent content words of a release file with their k neighbours, the most frequent word first.

    The first hundred words of a text are mostly its grammar; words of at least five letters after them say more.
    """
    with open_release(path) as connection:
        chosen = [
            word
            for (word,) in connection.execute(
                """SELECT word FROM word_vectors WHERE regexp_full_match(word, '\\p{L}+')
                   ORDER BY rank <= 100 OR length(word) < 5, rank LIMIT ?""",
                [words],
            ).fetchall()
        ]
        found: dict[str, list[Neighbor]] = {word: [] for word in chosen}
        for query, *neighbor in connection.execute(
            "SELECT query, word, similarity, rank FROM nearest_many(?, k := ?)", [chosen, k]
        ).fetchall():
            found[query].append(Neighbor(*neighbor))
    return list(found.items())


def published_file(workspace: Workspace, table: str) -> Path:
    """The current release of a table. Raises ReleaseError that names the tables there are."""
    path = workspace.table_file(table)
    if not path.is_file():
        known = table_names(workspace)
        tables = f"the tables are {', '.join(known)}" if known else "nothing has been published yet"
        raise ReleaseError(f"there is no table {table!r} in {workspace.root}: {tables}")
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
