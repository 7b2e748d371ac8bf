"""`python -m benchmarks`: measurements of vecmill and its peers on the same text, in one run."""

import typer

from benchmarks.dask_workers import measure_dask
from benchmarks.defaults import search_defaults
from benchmarks.documents import measure_documents
from benchmarks.evaluation import measure_evaluation
from benchmarks.families import measure_families
from benchmarks.fault_report import measure_faults
from benchmarks.gates import measure_gates
from benchmarks.ingest import measure_ingest
from benchmarks.large import measure_large
from benchmarks.processes import measure_processes
from benchmarks.quality_report import compare_quality
from benchmarks.queries import measure_queries
from benchmarks.reference import measure_reference
from benchmarks.scale import measure_scale
from benchmarks.stability import measure_stability
from benchmarks.times import measure_times
from benchmarks.training import measure_training
from benchmarks.training_report import report_training
from benchmarks.warm_start import measure_warm_start

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Compare vecmill with its peers.")
app.command("dask")(measure_dask)
app.command("defaults")(search_defaults)
app.command("documents")(measure_documents)
app.command("evaluation")(measure_evaluation)
app.command("families")(measure_families)
app.command("faults")(measure_faults)
app.command("gates")(measure_gates)
app.command("ingest")(measure_ingest)
app.command("large")(measure_large)
app.command("processes")(measure_processes)
app.command("quality")(compare_quality)
app.command("queries")(measure_queries)
app.command("reference")(measure_reference)
app.command("scale")(measure_scale)
app.command("stability")(measure_stability)
app.command("times")(measure_times)
app.command("training")(measure_training)
app.command("training-report")(report_training)
app.command("warm-start")(measure_warm_start)


@app.callback()
def main() -> None:
    """Compare vecmill with its peers."""


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
