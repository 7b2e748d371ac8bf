"""The commands for what is published: ask a table, look at its releases, change which one is current."""

from typing import Annotated

import typer

from flows.cli.completion import offer_candidates, offer_releases, offer_versions
from flows.cli.console import messages, output, print_table, shown_progress
from flows.cli.options import JsonOption, TableArgument, WorkspaceOption, print_json
from flows.cli.printable import printable
from storage.errors import SettingsError
from storage.layout import resolve_workspace

# The largest INTEGER, and so the largest rank.
MOST_ROWS = 2_147_483_647
SHOWN_ROWS = 100
SHOWN_WORDS = 15

ReleaseArgument = Annotated[
    str, typer.Argument(help="a version, or the first letters of a candidate", autocompletion=offer_releases)
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (nearest, sql, releases, diff, verify, rollback, promote, prune, clean):
        app.command()(command)


def nearest(
    table: TableArgument,
    word: str,
    k: Annotated[int, typer.Option("-k", min=0, max=MOST_ROWS, help="how many neighbours")] = 10,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the words nearest to a word."""
    from flows.cli.table_views import neighbor_table
    from storage.releases.querying import find_nearest

    found = find_nearest(resolve_workspace(workspace), table, word, k)
    neighbors = found.neighbors
    if found.word != word:
        said = f"{table} has no word {printable(word)!r}; these are nearest to {printable(found.word)!r}"
        messages.print(said, markup=False, highlight=False)
    if as_json:
        print_json([{"word": n.word, "similarity": n.similarity, "rank": n.rank} for n in neighbors])
    else:
        print_table(neighbor_table(neighbors))


def sql(
    table: TableArgument,
    query: Annotated[str, typer.Argument(help="such as \"from nearest('king')\"")],
    timeout: Annotated[float, typer.Option(min=0.001, help="seconds until the query is interrupted")] = 60.0,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a table in SQL; nothing can be changed, and no other file read or written."""
    from flows.cli.table_views import result_table
    from storage.releases.querying import published_file
    from storage.releases.read_only_sql import run_read_only

    result = run_read_only(published_file(resolve_workspace(workspace), table), query, timeout)
    if as_json:
        print_json([dict(zip(result.columns, row, strict=True)) for row in result.rows])
        return
    print_table(result_table(result, SHOWN_ROWS))
    if len(result.rows) > SHOWN_ROWS:
        messages.print(f"{SHOWN_ROWS} of {len(result.rows):,} rows; add LIMIT, or --json for all of them")


def releases(table: TableArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Show the releases of a table, its refused candidates and which one is current."""
    from flows.cli.table_views import release_table
    from storage.releases.publishing import list_releases

    found = list_releases(resolve_workspace(workspace), table)
    if as_json:
        print_json([release.model_dump(mode="json") for release in found])
    else:
        print_table(release_table(found))


def diff(
    table: TableArgument,
    older: ReleaseArgument,
    newer: ReleaseArgument,
    words: Annotated[int, typer.Option(min=0, max=MOST_ROWS, help="how many of the most frequent shared words")] = 1000,
    k: Annotated[int, typer.Option("-k", min=0, max=MOST_ROWS, help="how many neighbours of each")] = 10,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two releases: metrics, settings, vocabulary, and the words whose neighbours changed most."""
    from flows.cli.table_views import diff_tables
    from storage.releases.diff import compare_releases

    found = compare_releases(resolve_workspace(workspace), table, older, newer, words, k)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    output.print(f"{found.shared_words:,} words in both, {found.gained_words:,} new, {found.lost_words:,} gone")
    if found.mean_overlap is not None:
        output.print(f"{found.mean_overlap:.1%} of the {k} nearest of {len(found.drift):,} frequent words are the same")
    for view in diff_tables(found, SHOWN_WORDS):
        output.print()
        print_table(view)


def verify(table: TableArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Check every kept release: checksums, rows, unit lengths, macros. Exit code 1 if anything is wrong."""
    from flows.cli.table_views import verified_table
    from storage.releases.verification import verify_table

    with shown_progress():
        found = verify_table(resolve_workspace(workspace), table)
    if as_json:
        print_json([line.model_dump(mode="json") for line in found])
    else:
        print_table(verified_table(found))
    if any(line.problem for line in found):
        raise typer.Exit(1)


def rollback(
    table: TableArgument,
    version: Annotated[int, typer.Argument(help="a kept version", autocompletion=offer_versions)],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a kept release current again; it keeps its number."""
    from storage.releases.history import rollback as roll_back

    with shown_progress():
        release = roll_back(resolve_workspace(workspace), table, version)
    _tell(f"{table} is version {release.version} again", {"table": table, "version": release.version}, as_json)


def promote(
    table: TableArgument,
    candidate: Annotated[
        str, typer.Argument(help="first letters of a refused candidate's model", autocompletion=offer_candidates)
    ],
    yes: Annotated[bool, typer.Option("--yes", help="publish it although its gates refused it")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish a release that the gates refused, as the next version."""
    from storage.releases.history import find_release
    from storage.releases.history import promote as promote_candidate
    from storage.releases.records import read_release

    place = resolve_workspace(workspace)
    if not yes:
        refusals = [gate.note for gate in read_release(find_release(place, table, candidate)).gates if not gate.passed]
        raise SettingsError(f"refused: {'; '.join(refusals) or 'no gate'}; --yes publishes it all the same")
    with shown_progress():
        release = promote_candidate(place, table, candidate)
    _tell(f"published version {release.version} of {table}", {"table": table, "version": release.version}, as_json)


def prune(
    table: TableArgument,
    keep: Annotated[int, typer.Option(min=1, help="how many of the highest versions stay; the current one always")],
    candidates: Annotated[bool, typer.Option("--candidates", help="remove the refused candidates too")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove old releases of a table, never the current one."""
    from storage.releases.history import prune as prune_releases

    with shown_progress():
        removed = prune_releases(resolve_workspace(workspace), table, keep, candidates=candidates)
    _tell(f"removed {', '.join(removed) or 'nothing'}", {"table": table, "removed": removed}, as_json)


def clean(
    keep_days: Annotated[float, typer.Option(min=0, help="stages used in so many days stay")] = 7,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be removed")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove stages that no kept release needs, and what interrupted runs left."""
    from flows.cli.table_views import removed_table
    from storage.releases.housekeeping import clean_stages

    with shown_progress():
        removed = clean_stages(resolve_workspace(workspace), keep_days, dry_run=dry_run)
    if as_json:
        print_json([folder.model_dump(mode="json") for folder in removed])
        return
    if removed:
        print_table(removed_table(removed))
    size = sum(folder.size for folder in removed) / 1e6
    output.print(f"{'would remove' if dry_run else 'removed'} {len(removed)} folders, {size:,.1f} MB")


def _tell(message: str, facts: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        output.print(message, markup=False, highlight=False)
