"""`vecmill downstream`: what a release is worth to a classifier of reviews."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from flows.cli.console import output, print_table, shown_progress
from flows.cli.options import JsonOption, TableArgument, WorkspaceOption, print_json
from flows.cli.report_commands import VersionOption
from storage.layout import resolve_workspace

if TYPE_CHECKING:
    from tasks.downstream import DownstreamResult


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(downstream)


def downstream(
    table: TableArgument,
    version: VersionOption = None,
    epochs: Annotated[int, typer.Option(min=1, max=100, help="passes over the training reviews")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="of the split, and of the classifiers")] = 1,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="train vectors on the 80 % alone, with the release's settings")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a classifier of film reviews on the vectors, frozen and fine-tuned, and on random ones."""
    from tasks.downstream import score_downstream

    with shown_progress():
        place = resolve_workspace(workspace)
        result = score_downstream(place, table, version, epochs=epochs, seed=seed, unseen=unseen)
    if as_json:
        print_json(result.model_dump(mode="json") | {"seen": result.seen})
    else:
        _show(result)


def _show(result: "DownstreamResult") -> None:
    from flows.cli.table_views import plain_table, shown

    train, validation, held_out = result.texts
    output.print(
        f"{escape(result.name)}: trained on {train:,} reviews, chosen by {validation:,}, scored on {held_out:,}",
        highlight=False,
    )
    scores = plain_table("vectors", "held-out accuracy", "after epoch")
    curves = plain_table("vectors", "epoch", "loss", "validation loss", "accuracy", "validation accuracy")
    for score in result.scores:
        scores.add_row(shown(score.start), f"{score.accuracy:.4f}", str(score.best_epoch))
        for point in score.curve:
            curves.add_row(
                shown(score.start), str(point.epoch), f"{point.train_loss:.4f}", f"{point.validation_loss:.4f}",
                f"{point.train_accuracy:.4f}", f"{point.validation_accuracy:.4f}",
            )  # fmt: skip
    print_table(scores)
    output.print(
        "the vectors have seen the held-out reviews, without labels; --unseen trains them on the others alone"
        if result.seen
        else f"the vectors were trained on {escape(result.trained_on)}",
        style="dim",
    )
    output.print()
    print_table(curves)
