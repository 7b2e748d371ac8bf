"""`vecmill downstream`: accuracy of a review classifier on the vectors of a release."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from flows.cli.console import messages, output, print_table, shown_progress
from flows.cli.help_panels import EVALUATE
from flows.cli.options import JsonOption, TableArgument, WorkspaceOption, picture_format, print_json
from flows.cli.printable import printable
from flows.cli.report_commands import VersionOption
from storage.layout import resolve_workspace

if TYPE_CHECKING:
    from tasks.downstream import DownstreamResult
    from tasks.metrics.downstream import Network


class NetworkName(StrEnum):
    """The classifiers."""

    MEAN = "mean"
    TRANSFORMER = "transformer"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel=EVALUATE)(downstream)


def downstream(
    table: TableArgument,
    version: VersionOption = None,
    epochs: Annotated[int, typer.Option(min=1, max=100, help="training epochs of the classifiers")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="random seed of the split and the classifiers")] = 1,
    unseen: Annotated[
        bool,
        typer.Option(
            "--unseen", help="retrain the vectors on the 80 % training split only, with the release's settings"
        ),
    ] = False,
    network: Annotated[
        list[NetworkName] | None,
        typer.Option(
            help="mean of the words, or a small Transformer without, with fixed and with learned positions; "
            "repeatable; default: mean"
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("-o", "--output", help="also plot the curves into a .png or .svg file")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train film review classifiers on frozen, fine-tuned and random vectors, and compare their accuracy.

    Example: vecmill downstream movie-reviews --epochs 5
    """
    from tasks.downstream import score_downstream

    path = picture.expanduser().absolute() if picture else None
    form = picture_format(path) if path else None
    with shown_progress():
        resolved_workspace = resolve_workspace(workspace)
        networks: list[Network] = [name.value for name in network or [NetworkName.MEAN]]
        result = score_downstream(
            resolved_workspace, table, version, epochs=epochs, seed=seed, unseen=unseen, networks=networks
        )
    if path and form:
        from storage.output_files import new_output
        from tasks.plotting import plot_classifiers

        with new_output(path, force=True) as written:
            written.write_bytes(plot_classifiers(result, form))
        messages.print(escape(printable(str(path))), highlight=False, soft_wrap=True)
    if as_json:
        print_json(result.model_dump(mode="json") | {"seen": result.seen})
    else:
        _show(result)


def _show(result: "DownstreamResult") -> None:
    from flows.cli.table_views import plain_table, shown

    train, validation, held_out = result.texts
    output.print(
        f"{escape(result.name)}: trained on {train:,} reviews, selected on {validation:,}, tested on {held_out:,}",
        highlight=False,
    )
    scores = plain_table("network", "vectors", "held-out accuracy", "best epoch")
    curves = plain_table("network", "vectors", "epoch", "loss", "validation loss", "accuracy", "validation accuracy")
    for score in result.scores:
        name = score.network if score.positions is None else f"{score.network}, {score.positions} positions"
        name = name.replace("none positions", "no positions")
        scores.add_row(shown(name), shown(score.start), f"{score.accuracy:.4f}", str(score.best_epoch))
        for point in score.curve:
            curves.add_row(
                shown(name), shown(score.start), str(point.epoch),
                f"{point.train_loss:.4f}", f"{point.validation_loss:.4f}",
                f"{point.train_accuracy:.4f}", f"{point.validation_accuracy:.4f}",
            )  # fmt: skip
    print_table(scores)
    output.print(
        "the vectors were trained on all reviews, without labels; use --unseen to exclude the held-out ones"
        if result.seen
        else f"the vectors were trained on {escape(result.trained_on)}",
        style="dim",
    )
    output.print()
    print_table(curves)
