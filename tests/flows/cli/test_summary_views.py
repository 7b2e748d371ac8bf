"""The printed summary of a run: the verdict of each gate, then the other measurements."""

from pathlib import Path

import pytest
from rich.console import Console

from flows.cli.summary_views import print_summary
from flows.runs.result import BuildResult
from flows.runs.summary import metric_table
from tasks.arrivals import Arrivals
from tasks.metrics.gates import Gate, Measured, Scores, judge, verdict_rows
from tasks.publishing import Outcome
from tasks.reporting import WrittenReport


@pytest.fixture
def result() -> BuildResult:
    measures = {
        "wordsim353": Measured(0.4, 0.3, 0.5),
        "neighbor_overlap": Measured(0.1),
        "neighbor_overlap_random": Measured(0.01),
    }
    before = {name: Measured(0.45) for name in measures}
    gates = {"wordsim353": Gate(minimum=0.6, max_drop=0.2), "neighbor_overlap": Gate(min_factor=3)}
    digests = dict.fromkeys(measures, "gold")
    verdicts = judge(Scores(measures, "reviews", digests), gates, Scores(before, "reviews", digests))
    return BuildResult(
        table="reviews", outcome=Outcome.REFUSED, version=None, message="refused",
        release_path="reviews.duckdb", vocabulary_size=9, corpus_tokens=99, training={}, stages=[],
        metrics={name: measured.value for name, measured in measures.items()} | {"wordsim353_coverage": 1.0},
        verdicts=verdict_rows(verdicts),
        files=Arrivals(table="reviews", version=1, files=1, new=(), changed=(), gone=(), train_on="all"),
    )  # fmt: skip


def test_the_verdicts_are_a_table_with_interval_bounds_and_the_release_before(result: BuildResult) -> None:
    console = Console(width=200, record=True)
    print_summary(console, result, [])
    lines = [line.split("  ") for line in console.export_text().splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert ["measure", "value", "95 % interval", "bound", "previous", "passed"] in cells
    assert ["wordsim353", "0.4000", "0.3000 to 0.5000", "≥ 0.6, ≥ 0.4500 - 0.2", "0.4500", "no"] in cells
    assert ["neighbor_overlap", "0.1000", "≥ 3 x 0.0100", "yes"] in cells
    assert ["neighbor_overlap_random", "0.0100"] in cells
    assert not any("wordsim353_coverage" in line for line in cells)


def test_the_last_stage_is_the_report_with_its_seconds_and_path(result: BuildResult, tmp_path: Path) -> None:
    page = tmp_path / "v000001.report.html"
    page.write_bytes(bytes(3000))
    shown = result.with_report(WrittenReport(page, reused=False, seconds=5.25))
    console = Console(width=200, record=True)
    print_summary(console, shown, [])
    (line,) = (line.split() for line in console.export_text().splitlines() if line.startswith("report "))
    assert line == ["report", "3", "kB", "5.2", str(page)]
    assert result.with_report(None) == result


def test_the_table_of_metrics_begins_with_what_was_refused(result: BuildResult) -> None:
    rows = metric_table(result)
    assert [(row["verdict"], row["metric"], row["value"], row["previous"]) for row in rows] == [
        ("refused", "wordsim353", "0.4000", "0.4500"),
        ("passed", "neighbor_overlap", "0.1000", ""),
        ("", "neighbor_overlap_random", "0.0100", ""),
    ]
    assert next(iter(rows[0])) == "verdict"
    assert (rows[0]["coverage"], rows[0]["95 % interval"]) == ("1.0000", "0.3000 to 0.5000")
