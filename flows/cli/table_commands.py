"""Commands for published tables: query them, inspect releases, change the current release, clean up."""

from typing import Annotated

import typer

from flows.cli.completion import offer_candidates, offer_releases, offer_versions
from flows.cli.console import messages, output, print_table, shown_progress
from flows.cli.help_panels import QUERY, RELEASES
from flows.cli.options import JsonOption, KeptVersionOption, TableArgument, WorkspaceOption, chosen_file, print_json
from flows.cli.printable import printable
from storage.errors import SettingsError
from storage.layout import resolve_workspace

# The largest INTEGER, and so the largest rank.
MOST_ROWS = 2_147_483_647
SHOWN_ROWS = 100
SHOWN_WORDS = 15

ReleaseArgument = Annotated[
    str, typer.Argument(help="a version, tag or candidate prefix", autocompletion=offer_releases)
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(rich_help_panel=QUERY)(sql)
    for command in (releases, diff, verify, rollback, tag, promote, prune, clean):
        app.command(rich_help_panel=RELEASES)(command)


def sql(
    table: TableArgument,
    query: Annotated[str, typer.Argument(help="SQL query, e.g. \"from nearest('king')\"")],
    version: KeptVersionOption = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="query timeout in seconds")] = 60.0,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Query a table with SQL (read-only, without access to other files).

    Example: vecmill sql movie-reviews "from nearest('terrible')"
    """
    from flows.cli.table_views import result_table
    from storage.releases.read_only_sql import run_read_only

    result = run_read_only(chosen_file(resolve_workspace(workspace), table, version), query, timeout)
    if as_json:
        print_json([dict(zip(result.columns, row, strict=True)) for row in result.rows])
        return
    print_table(result_table(result, SHOWN_ROWS))
    if len(result.rows) > SHOWN_ROWS:
        messages.print(f"{SHOWN_ROWS} of {len(result.rows):,} rows; add LIMIT, or --json for all of them")


def releases(table: TableArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the releases and refused candidates of a table; * marks the current release.

    Example: vecmill releases movie-reviews
    """
    from flows.cli.table_views import release_table
    from storage.releases.listing import list_releases

    found = list_releases(resolve_workspace(workspace), table)
    if as_json:
        print_json([release.model_dump(mode="json") for release in found])
    else:
        print_table(release_table(found))


def diff(
    table: TableArgument,
    older: ReleaseArgument,
    newer: ReleaseArgument,
    words: Annotated[
        int, typer.Option(min=0, max=MOST_ROWS, help="number of most frequent shared words to compare")
    ] = 1000,
    k: Annotated[int, typer.Option("-k", min=0, max=MOST_ROWS, help="number of neighbours per word")] = 10,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two releases: metrics, settings, vocabulary, and the words whose neighbours changed most.

    Example: vecmill diff movie-reviews 1 2
    """
    from flows.cli.table_views import diff_tables
    from storage.releases.diff import compare_releases

    found = compare_releases(resolve_workspace(workspace), table, older, newer, words, k)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    output.print(f"{found.shared_words:,} shared words, {found.gained_words:,} added, {found.lost_words:,} removed")
    if found.mean_overlap is not None:
        output.print(
            f"{found.mean_overlap:.1%} mean overlap of the {k} nearest neighbours of {len(found.drift):,} words"
        )
    for view in diff_tables(found, SHOWN_WORDS):
        output.print()
        print_table(view)


def verify(table: TableArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Verify checksums, rows, unit lengths and macros of all kept releases. Exit code 1 if a check fails.

    Example: vecmill verify movie-reviews
    """
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
    version: Annotated[str, typer.Argument(help="a kept version or tag", autocompletion=offer_versions)],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a kept release current again; its version number does not change.

    Example: vecmill rollback movie-reviews 1
    """
    from storage.releases.history import find_version
    from storage.releases.history import rollback as roll_back

    resolved = resolve_workspace(workspace)
    with shown_progress():
        release = roll_back(resolved, table, find_version(resolved, table, version))
    _print_outcome(
        f"rolled back {table} to version {release.version}", {"table": table, "version": release.version}, as_json
    )


def tag(
    table: TableArgument,
    version: Annotated[str, typer.Argument(help="a kept version or tag", autocompletion=offer_versions)],
    name: Annotated[str, typer.Argument(help="the tag, e.g. stable; it moves if it is in use")],
    remove: Annotated[bool, typer.Option("--remove", help="remove the tag from this version")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Name a release. Commands accept the tag as a version, and prune keeps the release.

    Example: vecmill tag movie-reviews 2 stable
    """
    from storage.releases.history import tag_release, untag_release

    resolved = resolve_workspace(workspace)
    number = untag_release(resolved, table, version, name) if remove else tag_release(resolved, table, version, name)
    done = "is no longer tagged" if remove else "is tagged"
    facts = {"table": table, "version": number, "tag": None if remove else name}
    _print_outcome(f"version {number} of {table} {done} {printable(name)}", facts, as_json)


def promote(
    table: TableArgument,
    candidate: Annotated[str, typer.Argument(help="prefix of a refused candidate", autocompletion=offer_candidates)],
    yes: Annotated[bool, typer.Option("--yes", help="publish although the gates refused it")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish a candidate that the gates refused as the next version.

    Example: vecmill promote movie-reviews 3f2a --yes
    """
    from storage.releases.history import find_release
    from storage.releases.history import promote as promote_candidate
    from storage.releases.records import read_release

    resolved_workspace = resolve_workspace(workspace)
    if not yes:
        refusals = [
            gate.note
            for gate in read_release(find_release(resolved_workspace, table, candidate)).gates
            if not gate.passed
        ]
        raise SettingsError(f"refused: {'; '.join(refusals) or 'no gate'}; use --yes to publish anyway")
    with shown_progress():
        release = promote_candidate(resolved_workspace, table, candidate)
    _print_outcome(
        f"published version {release.version} of {table}", {"table": table, "version": release.version}, as_json
    )


def prune(
    table: TableArgument,
    keep: Annotated[
        int, typer.Option(min=1, help="number of highest versions to keep; the current one is always kept")
    ],
    candidates: Annotated[bool, typer.Option("--candidates", help="also remove refused candidates")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove old releases of a table, but never the current one.

    Example: vecmill prune movie-reviews --keep 5 --candidates
    """
    from storage.releases.history import prune as prune_releases

    with shown_progress():
        removed = prune_releases(resolve_workspace(workspace), table, keep, candidates=candidates)
    _print_outcome(f"removed {', '.join(removed) or 'nothing'}", {"table": table, "removed": removed}, as_json)


def clean(
    keep_days: Annotated[float, typer.Option(min=0, help="keep stages used within this many days")] = 7,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be removed")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove stages that no kept release needs and leftovers of interrupted runs.

    Example: vecmill clean --keep-days 30 --dry-run
    """
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
    folders = f"{len(removed):,} folder{'' if len(removed) == 1 else 's'}"
    output.print(f"{'would remove' if dry_run else 'removed'} {folders}, {size:,.1f} MB")


def _print_outcome(message: str, facts: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        output.print(message, markup=False, highlight=False)
