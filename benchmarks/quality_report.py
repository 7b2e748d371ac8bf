"""`python -m benchmarks quality`: vecmill's default vectors compared with gensim's, on three corpora.

gensim takes part twice: with its defaults, and as skip-gram with the learning rate and threshold that score best on the
searched halves of the gold sets, where vecmill's defaults were chosen too. Everybody trains the same words, 5 epochs.
Speed plays no part, so the machine may be busy.
"""

import logging
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.defaults import BASE, PEER_CANDIDATES, WITHOUT_PHASES
from benchmarks.gold_halves import REPORTED, reported_scores, searched_scores
from benchmarks.ledger import RESULTS, Ledger, Run, measure, open_ledger, this_place
from benchmarks.quality_plot import plot_quality
from benchmarks.texts import KOREAN_WIKIPEDIA, Text, find_texts
from benchmarks.trainers import BenchmarkSettings
from benchmarks.training_summary import Score, score

logger = logging.getLogger(__name__)

DEFAULTS, TUNED = "gensim, defaults", "gensim, tuned skip-gram"
VECMILL = "vecmill, defaults"
CONTESTANTS = (VECMILL, DEFAULTS, TUNED)
GENSIM_DEFAULTS = BASE.model_copy(update=PEER_CANDIDATES[0])
# The grid on which vecmill's defaults were searched, without its worst row (benchmarks/results/defaults_center.md).
GRID: tuple[dict[str, Any], ...] = tuple(
    {"learning_rate": rate, "subsample_threshold": threshold, **WITHOUT_PHASES}
    for threshold in (1e-3, 1e-4)
    for rate in (0.025, 0.05, 0.075)
)


def compare_quality(
    output: Annotated[Path, typer.Option(file_okay=False, help="folder to write into")] = RESULTS,
    cache: Annotated[Path, typer.Option(file_okay=False, help="workspace that keeps the Korean text, cut")] = Path(
        "workspace"
    ),
    repeat: Annotated[int, typer.Option(min=1, help="seeds")] = 5,
    stop_after_minutes: Annotated[
        float | None, typer.Option(min=0, help="start no training after that, and write the page of what there is")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="forget the runs of a comparison that was stopped")] = False,
) -> None:
    """Score vecmill's and gensim's default vectors and gensim's tuned skip-gram; takes several hours.

    Every run is kept in quality.partial.json at once, and the same command goes on from there.
    """
    logging.getLogger("gensim").setLevel(logging.ERROR)
    partial_file = output / "quality.partial.json"
    if fresh:
        partial_file.unlink(missing_ok=True)
    ledger = open_ledger(partial_file, this_place(), datetime.now(UTC).date().isoformat())
    if not ledger.runs:
        add_peers(ledger, output / "quality.json")
    deadline = None if stop_after_minutes is None else time.monotonic() + 60 * stop_after_minutes
    texts = find_texts(cache)
    finished = run_all(ledger, [text for text in texts if text.missing is None], repeat, deadline, partial_file)
    ledger.save(output / "quality.json")
    skipped = {text.name: text.missing for text in texts if text.missing is not None}
    (output / "quality.md").write_text(write_page(ledger, skipped), encoding="utf-8")
    plot_quality(summaries(ledger), output / "quality.png")
    if finished:
        partial_file.unlink()


def add_peers(ledger: Ledger, path: Path) -> None:
    """Add gensim's runs of an earlier comparison by the same gensim: they don't depend on vecmill's code."""
    if not path.exists():
        return
    earlier = Ledger.model_validate_json(path.read_text(encoding="utf-8"))
    if earlier.place.versions["gensim"] == ledger.place.versions["gensim"]:
        ledger.runs += [run for run in earlier.runs if run.trainer == "gensim"]
        ledger.peers = earlier.peers or f"{earlier.date} on {earlier.place.processor}"


def run_all(ledger: Ledger, texts: list[Text], repeat: int, deadline: float | None, file: Path) -> bool:
    """Train what the ledger lacks, the first seed of every corpus first; returns whether nothing is left to do."""
    with tempfile.TemporaryDirectory() as name:
        corpora = {text.name: text.load(Path(name)) for text in texts}
        # A corpus may have changed since the peers' runs.
        ledger.runs[:] = [
            run for run in ledger.runs if run.corpus in corpora and run.tokens == corpora[run.corpus].token_count
        ]
        for seed in range(1, repeat + 1):
            for corpus in corpora.values():
                korean = corpus.name == KOREAN_WIKIPEDIA
                while (run := _next_run(ledger, corpus.name, seed)) is not None:
                    if deadline is not None and time.monotonic() > deadline:
                        return False
                    part, trainer, settings = run
                    evaluate = searched_scores if part == "search" else reported_scores
                    done = measure(part, corpus, trainer, settings, partial(evaluate, korean=korean))
                    ledger.runs.append(done)
                    ledger.save(file)
                    logger.info("%s, %s, %s: %s", corpus.name, trainer, part, done.quality)
    return True


def _next_run(ledger: Ledger, corpus: str, seed: int) -> tuple[Any, str, BenchmarkSettings] | None:
    """The first training of this corpus and seed that is not recorded."""
    for trainer, settings in (("vecmill", BASE), ("gensim", GENSIM_DEFAULTS)):
        seeded = settings.model_copy(update={"seed": seed})
        if not ledger.has("quality", corpus, trainer, seeded):
            return "quality", trainer, seeded
    for changes in GRID:
        settings = BASE.model_copy(update=changes)
        if not ledger.has("search", corpus, "gensim", settings):
            return "search", "gensim", settings
    tuned = tuned_settings(ledger, corpus)
    assert tuned is not None
    seeded = tuned.model_copy(update={"seed": seed})
    return None if ledger.has("quality", corpus, "gensim", seeded) else ("quality", "gensim", seeded)


def tuned_settings(ledger: Ledger, corpus: str) -> BenchmarkSettings | None:
    """Gensim's skip-gram with the highest mean of the searched scores; None as long as nothing was searched."""
    runs = [run for run in ledger.runs if run.part == "search" and run.corpus == corpus]
    if not runs:
        return None
    return max(runs, key=lambda run: statistics.fmean(run.quality.values())).settings


def summaries(ledger: Ledger) -> dict[str, dict[str, dict[str, Score]]]:
    """Corpus -> contestant -> metric -> mean and deviation over the seeds."""
    found: dict[str, dict[str, list[Run]]] = {}
    for run in ledger.runs:
        if run.part == "quality":
            found.setdefault(run.corpus, {}).setdefault(_contestant(run), []).append(run)
    return {
        corpus: {
            name: {
                metric: score([run.quality[metric] for run in runs]) for metric in REPORTED if metric in runs[0].quality
            }
            for name, runs in sorted(contestants.items(), key=lambda item: CONTESTANTS.index(item[0]))
        }
        for corpus, contestants in found.items()
    }


def write_page(ledger: Ledger, skipped: Mapping[str, str]) -> str:
    """One table for each corpus, with vecmill's difference to the better peer in each metric."""
    place = ledger.place
    lines = [
        "# Default vectors compared with gensim's",
        "",
        f"Written by `python -m benchmarks quality` on {ledger.date}, code of commit {place.commit}, "
        f"{place.processor}. All train {BASE.epochs} epochs of dimension {BASE.dimension}; mean ± standard "
        "deviation over the seeds." + (f" gensim's runs are those of {ledger.peers}." if ledger.peers else ""),
        "",
        "gensim's tuned skip-gram has the rate and threshold that score best on the searched sets (WordSim-353's two "
        "parts, MTurk-771, the odd pairs of MEN and the odd sections of the analogies), with one seed. `men_even` and "
        "`analogies_even` are the other halves. SimLex-999 was not searched on.",
        "",
        "![Scores by corpus](quality.png)",
    ]
    for corpus, contestants in summaries(ledger).items():
        runs = [run for run in ledger.runs if run.corpus == corpus]
        lines += ["", f"## {corpus}", "", *_table(contestants, runs)]
        if tried := [run for run in runs if run.part == "search"]:
            lines += ["", "The search for gensim's settings:", "", *_search_table(tried)]
    if skipped:
        lines += ["", "## Skipped", "", *(f"- {name}: {reason}" for name, reason in skipped.items())]
    return "\n".join(lines) + "\n"


def _contestant(run: Run) -> str:
    if run.trainer == "vecmill":
        return VECMILL
    return DEFAULTS if run.settings.model == GENSIM_DEFAULTS.model else TUNED


def _table(contestants: Mapping[str, Mapping[str, Score]], runs: list[Run]) -> Iterator[str]:
    metrics = list(next(iter(contestants.values())))
    yield f"| | seeds | {' | '.join(metrics)} |"
    yield f"|---|---:|{'---:|' * len(metrics)}"
    for name, scores in contestants.items():
        seeds = sum(run.part == "quality" and _contestant(run) == name for run in runs)
        cells = [f"{scores[metric].mean:.3f} ± {scores[metric].deviation:.3f}" for metric in metrics]
        yield f"| {name} | {seeds} | {' | '.join(cells)} |"
    peers = [scores for name, scores in contestants.items() if name != VECMILL]
    if VECMILL in contestants and peers:
        own = contestants[VECMILL]
        cells = [f"{own[metric].mean - max(peer[metric].mean for peer in peers):+.3f}" for metric in metrics]
        yield f"| **vecmill above the better one** | | {' | '.join(cells)} |"


def _search_table(runs: list[Run]) -> Iterator[str]:
    metrics = list(runs[0].quality)
    yield f"| rate | threshold | {' | '.join(metrics)} | mean |"
    yield f"|---:|---:|{'---:|' * (len(metrics) + 1)}"
    for run in runs:
        cells = [f"{run.quality[metric]:.3f}" for metric in metrics]
        mean = statistics.fmean(run.quality.values())
        settings = run.settings
        yield f"| {settings.learning_rate:g} | {settings.subsample_threshold:g} | {' | '.join(cells)} | {mean:.3f} |"
