"""`vecmill evaluate` and `vecmill compare`: evaluate existing vectors and compare two tables."""

from typing import Annotated

import typer
from rich.markup import escape

from flows.cli.completion import offer_tables
from flows.cli.console import output, print_table, shown_progress
from flows.cli.help_panels import EVALUATE
from flows.cli.options import JsonOption, WorkspaceOption, print_json
from flows.cli.printable import printable
from flows.cli.report_commands import VersionOption
from storage.errors import SettingsError
from storage.files.without_pandas import without_pandas
from storage.layout import resolve_workspace

SHOWN_WORDS = 15


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(rich_help_panel=EVALUATE)(evaluate)
    app.command(rich_help_panel=EVALUATE)(compare)


@without_pandas()
def evaluate(
    table: Annotated[str | None, typer.Argument(help="a published table", autocompletion=offer_tables)] = None,
    version: VersionOption = None,
    vectors: Annotated[
        str | None, typer.Option("--vectors", help="evaluate a vector file or package:NAME instead of a table")
    ] = None,
    gold: Annotated[
        list[str] | None,
        typer.Option(
            "--gold",
            metavar="FILE[:COLUMNS]",
            help="additional gold file of scored word pairs or analogies; FILE:word1,word2,score selects columns; "
            "repeatable",
        ),
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            "--reference", help="reference vectors for neighbour overlap instead of GloVe; repeatable; none to disable"
        ),
    ] = None,
    max_rank: Annotated[
        int, typer.Option(min=0, help="restrict analogy answers to the N most frequent words; 0: all")
    ] = 30_000,
    sections: Annotated[bool, typer.Option("--sections", help="also show sections and frequency bands")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a release or external vectors on gold sets.

    Example: vecmill evaluate movie-reviews --gold pairs.csv:word1,word2,score
    """
    from pydantic import ValidationError

    from flows.cli.evaluation_views import agreement_lines, score_table
    from tasks.evaluation_targets import TargetConfig, score_target
    from tasks.references import check_present, downloaded_references
    from tasks.scoring import EvaluationConfig

    settings: dict[str, object] = {"gold": gold or [], "analogy_max_rank": max_rank or None}
    if reference:
        specs = [spec for spec in reference if spec.lower() != "none"]
        settings |= {"reference": specs[0] if specs else None, "references": specs[1:]}
    try:
        target = TargetConfig(table=table, version=version, vectors=vectors)
        config = EvaluationConfig.model_validate(settings)
    except ValidationError as error:
        problems = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise SettingsError(f"{problems}; see `vecmill evaluate --help`") from error
    with shown_progress():
        if downloaded_references(config):
            # The download is a task with retries, and so needs Prefect.
            from tasks.evaluation import check_reference

            check_reference(config)
        check_present(config)
        result = score_target(target, config, resolve_workspace(workspace))
    if as_json:
        print_json(result.model_dump(mode="json"))
        return
    output.print(f"{escape(result.name)}: {result.words:,} words, {result.dimension} dimensions", highlight=False)
    print_table(score_table(result.rows, sections=sections))
    for name, columns in result.gold_columns.items():
        output.print(escape(printable(f"{name}: {columns}")), highlight=False)
    for line in agreement_lines(result.compared_words):
        output.print(line, highlight=False)


def compare(
    first: Annotated[str, typer.Argument(metavar="TABLE_A", help="a published table", autocompletion=offer_tables)],
    second: Annotated[
        str, typer.Argument(metavar="TABLE_B", help="another published table", autocompletion=offer_tables)
    ],
    words: Annotated[
        int, typer.Option(min=1, max=20_000, help="number of most frequent shared words to compare")
    ] = 1000,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the current releases of two tables: scores, words, neighbours, and vectors after the best rotation.

    Example: vecmill compare movie-reviews text8 --words 2000
    """
    from flows.cli.evaluation_views import changed_table, score_table
    from flows.cli.table_views import difference_note, metric_change_table
    from tasks.table_comparison import compare_tables

    with shown_progress():
        found = compare_tables(resolve_workspace(workspace), first, second, words)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    only_first, only_second = (count - found.shared_words for count in found.words)
    output.print(
        f"{found.shared_words:,} words in both, {only_first:,} only in {escape(found.first)}, "
        f"{only_second:,} only in {escape(found.second)}",
        highlight=False,
    )
    scores = metric_change_table(found.first, found.second, found.metrics)
    for view in (scores, score_table(found.agreement, sections=True), changed_table(found, SHOWN_WORDS)):
        if view.row_count:
            output.print()
            print_table(view)
        if view is scores and (note := difference_note(found.metrics)):
            output.print(note, highlight=False)
