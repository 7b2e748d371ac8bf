"""`vecmill export` and `vecmill import`: exchange vectors with other tools."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from flows.cli.completion import offer_tables
from flows.cli.console import output, shown_progress
from flows.cli.help_panels import EXCHANGE
from flows.cli.options import JsonOption, KeptVersionOption, TableArgument, WorkspaceOption, print_json
from flows.cli.printable import printable
from flows.server.environment import prepare_prefect
from storage.layout import Workspace, resolve_workspace
from storage.vectors.format_names import ReadFormat, VectorFormat

# int() refuses numbers of thousands of digits.
LONGEST_NUMBER = 10


def register(app: typer.Typer) -> None:
    """Add the two commands to the application."""
    app.command("export", rich_help_panel=EXCHANGE)(export_vectors)
    app.command("import", rich_help_panel=EXCHANGE)(import_vectors)


def export_vectors(
    table: TableArgument,
    form: Annotated[VectorFormat, typer.Option("--format", help="file format", show_default=False)],
    target: Annotated[
        Path,
        typer.Option("-o", "--output", help="output file; a folder for numpy, safetensors, model2vec and projector"),
    ],
    version: KeptVersionOption = None,
    force: Annotated[bool, typer.Option("--force", help="overwrite an existing file")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export the vectors of a table for other tools.

    Example: vecmill export movie-reviews --format word2vec -o movies.txt.gz
    """
    from storage.releases.exporting import export_table

    resolved = resolve_workspace(workspace)
    with shown_progress():
        number = None if version is None else _number(resolved, table, version)
        done = export_table(resolved, table, form, target, version=number, force=force)
    if as_json:
        print_json(asdict(done))
        return
    what = f"{done.table} version {done.version}: {done.words:,} words x {done.dimension} as {done.format}"
    output.print(f"{what} to {escape(printable(str(done.path)))} ({done.size / 1e6:.1f} MB)", highlight=False)


def _number(workspace: Workspace, table: str, version: str) -> int:
    """A version, given as a number or tag."""
    if version.isdecimal() and len(version) < LONGEST_NUMBER:
        return int(version)
    from storage.releases.history import find_version

    return find_version(workspace, table, version)


def import_vectors(
    source: Annotated[str, typer.Argument(metavar="FILE", help="file, folder or name of an installed package")],
    table: Annotated[str, typer.Option("--table", help="table to publish to", autocompletion=offer_tables)],
    form: Annotated[
        ReadFormat | None, typer.Option("--format", help="file format; default: detect from the content")
    ] = None,
    words: Annotated[
        Path | None, typer.Option("--words", help="word list for numpy and safetensors; default: look next to the file")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", "--licence", help="licence of the vectors, stored with the release")
    ] = None,
    skip_bad_rows: Annotated[
        bool,
        typer.Option(
            "--skip-bad-rows", help="skip rows with zeros or NaN, ambiguous or duplicate words and invalid UTF-8"
        ),
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="import only the first N rows, the most frequent words")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="allow replacing trained or gated releases")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish external vectors as the next version of a table, if they pass its gates.

    Example: vecmill import glove.6B.50d.txt --table glove --license PDDL --limit 50000
    """
    from storage.releases.file import ReleaseContent
    from storage.releases.importing import import_vectors as publish_vectors
    from storage.releases.records import Release

    resolved_workspace = resolve_workspace(workspace)

    def judged(content: ReleaseContent, current: Release | None) -> ReleaseContent:
        prepare_prefect()
        from flows.deployments import deployed_table
        from tasks.importing import judge_import, table_gates

        gates = table_gates(resolved_workspace, table, deployed_table(table))
        return judge_import(content, current, gates, resolved_workspace) if gates else content

    with shown_progress():
        done = publish_vectors(
            resolved_workspace,
            table,
            source,
            form=VectorFormat(form) if form else None,
            words=words,
            licence=licence,
            skip_bad_rows=skip_bad_rows,
            limit=limit,
            yes=yes,
            judge=judged,
        )
    if as_json:
        print_json(asdict(done))
        return
    state = "" if done.published else ", which already has the same content"
    left_out = f", {done.left_out:,} row{'' if done.left_out == 1 else 's'} skipped" if done.left_out else ""
    output.print(
        f"{done.table} version {done.version}{state}: {done.words:,} words x {done.dimension} from "
        f"{escape(printable(done.source))} ({done.format}{left_out}); licence: {escape(printable(done.licence))}",
        highlight=False,
    )
