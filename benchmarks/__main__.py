"""`python -m benchmarks`: measurements of vecmill beside its peers, on the same text, in one run."""

import typer

from benchmarks.defaults import search_defaults
from benchmarks.training import measure_training
from benchmarks.training_report import report_training

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Measure vecmill beside its peers.")
app.command("defaults")(search_defaults)
app.command("training")(measure_training)
app.command("training-report")(report_training)


@app.callback()
def main() -> None:
    """Measure vecmill beside its peers."""


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
