"""`vecmill nearest`, `analogy` and `similar`: query a table for words."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import messages, print_table
from flows.cli.help_panels import QUERY
from flows.cli.options import JsonOption, KeptVersionOption, TableArgument, WorkspaceOption, chosen_file, print_json
from flows.cli.printable import printable
from storage.files.without_pandas import without_pandas
from storage.layout import resolve_workspace

if TYPE_CHECKING:
    from storage.releases.querying import Neighbor

# The largest INTEGER, and so the largest rank.
MOST_ROWS = 2_147_483_647

NumberOption = Annotated[int, typer.Option("-k", min=0, max=MOST_ROWS, help="number of words")]
MaxRankOption = Annotated[
    int | None, typer.Option("--max-rank", min=1, max=MOST_ROWS, help="search only the N most frequent words")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (nearest, analogy, similar):
        app.command(rich_help_panel=QUERY)(command)


def nearest(
    table: TableArgument,
    word: Annotated[str, typer.Argument(help="the word whose neighbours are shown")],
    k: Annotated[int, typer.Option("-k", min=0, max=MOST_ROWS, help="number of neighbours")] = 10,
    max_rank: MaxRankOption = None,
    version: KeptVersionOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the nearest neighbours of a word.

    Example: vecmill nearest movie-reviews terrible -k 5 --max-rank 10000
    """
    from storage.releases.querying import find_nearest

    resolved = resolve_workspace(workspace)
    release = chosen_file(resolved, table, version)
    with without_pandas():
        found = find_nearest(resolved, table, word, k, _cut_like_corpus, max_rank=max_rank, release=release)
    if found.word != word:
        said = f"{table} has no word {printable(word)!r}; showing neighbours of {printable(found.word)!r}"
        messages.print(said, markup=False, highlight=False)
    _print_neighbors(found.neighbors, as_json)


def analogy(
    table: TableArgument,
    a: Annotated[str, typer.Argument(help="the word that relates to B")],
    b: Annotated[str, typer.Argument(help="as C relates to the answer")],
    c: Annotated[str, typer.Argument(help="the third word")],
    k: NumberOption = 10,
    max_rank: MaxRankOption = None,
    version: KeptVersionOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Complete an analogy: A is to B as C is to the words shown.

    Example: vecmill analogy movie-reviews man king woman
    """
    _show_most_similar(table, [b, c], [a], k, max_rank, version, workspace, as_json=as_json)


def similar(
    table: TableArgument,
    words: Annotated[list[str], typer.Argument(help="words that the answer is near")],
    minus: Annotated[
        list[str] | None, typer.Option("--minus", help="a word that the answer is far from; repeatable")
    ] = None,
    k: NumberOption = 10,
    max_rank: MaxRankOption = None,
    version: KeptVersionOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the words most similar to several words together.

    Example: vecmill similar movie-reviews funny clever --minus silly
    """
    _show_most_similar(table, words, minus or [], k, max_rank, version, workspace, as_json=as_json)


def _show_most_similar(
    table: str,
    positive: Sequence[str],
    negative: Sequence[str],
    k: int,
    max_rank: int | None,
    version: str | None,
    workspace: Path | None,
    *,
    as_json: bool,
) -> None:
    from storage.releases.querying import find_most_similar

    release = chosen_file(resolve_workspace(workspace), table, version)
    with without_pandas():
        found = find_most_similar(release, table, positive, negative, k, max_rank)
    _print_neighbors(found, as_json)


def _print_neighbors(neighbors: Sequence["Neighbor"], as_json: bool) -> None:
    from flows.cli.table_views import neighbor_table

    if as_json:
        print_json([{"word": n.word, "similarity": n.similarity, "rank": n.rank} for n in neighbors])
    else:
        print_table(neighbor_table(neighbors))


def _cut_like_corpus(release: Path, word: str) -> list[str]:
    """The tokens of a word that a table lacks, if its tokenizer splits words."""
    from tasks.release_reader import release_word_reader

    reader = release_word_reader(release)
    return reader.cut([word])[0] if reader else []
