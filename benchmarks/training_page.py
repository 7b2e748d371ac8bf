"""The page of a report, in Markdown."""

from collections.abc import Iterator

from benchmarks.ledger import Ledger
from benchmarks.quality import METRICS
from benchmarks.training_summary import SettingSummary, Summary

NOTES = (
    "- Words are raw tokens of the corpus x epochs, seconds those of training alone: no reading, no counting of words.",
    "- Trainers run in turn on the same lines with the same settings. Words/s and ratios are medians of the runs; a",
    "  ratio is vecmill's words/s over the peer's in one turn. Quality is the mean ± standard deviation of the runs.",
    "- The movie reviews are shuffled: gensim's rate falls by lines, vecmill's by words, the csv has its short ones",
    "  at the end.",
    "- Each worker of gensim's `corpus_file` form holds its own lines against all, so its rate stops short of the end",
    "  it is set to. It is set lower here and ends where vecmill's does; fastText's falls to 0.",
    "- gensim runs its `corpus_file` form, the faster of its two, with one BLAS thread for each worker. fastText runs",
    "  without character n-grams; its seconds include counting the words, about a hundredth of them. With fewer than",
    "  ten threads it leaves most of its vectors at zero before it trains, which its scores show.",
)
HEADINGS = {
    "dimension": "Dimensions",
    "negatives_per_pair": "Noise words per pair",
    "window_radius": "Windows (words to each side)",
    "workers": "Workers",
}


def write_page(ledger: Ledger, summary: Summary, picture: str) -> str:
    """Everything that a reader needs to judge the figures, and to make them again."""
    return "\n".join(_lines(ledger, summary, picture)) + "\n"


def _lines(ledger: Ledger, summary: Summary, picture: str) -> Iterator[str]:
    place = ledger.place
    versions = ", ".join(f"{name} {version}" for name, version in place.versions.items())
    yield "# Training compared with its peers"
    yield ""
    yield (
        f"Written by `make bench` on {ledger.date}, code of commit {place.commit}; load {ledger.load_before:.2f} "
        "before the first run (an idle machine is near 0)."
    )
    yield ""
    yield f"- Machine: {place.processor}, {place.cores} cores, {place.memory_gigabytes} GB, {place.system}"
    yield f"- Versions: Python {place.python}, {versions}"
    yield from NOTES
    yield ""
    yield f"![words per second]({picture})"
    for comparison in summary.comparisons:
        yield ""
        yield from _comparison(comparison)
    swept = {run.trainer: run.settings.epochs for run in ledger.runs if run.part == "sweep"}
    epochs = " and ".join(f"{count} epoch{'s' * (count > 1)} of {trainer}" for trainer, count in swept.items())
    for name, values in summary.sweeps.items():
        yield ""
        yield from _sweep(name, values, epochs)


def _comparison(comparison: SettingSummary) -> Iterator[str]:
    settings = comparison.settings
    metrics = [metric for metric in METRICS if metric in comparison.trainers[0].quality]
    yield f"## {comparison.corpus}"
    yield ""
    yield (
        f"{comparison.tokens:,} tokens, {settings.epochs} epochs, {settings.model}, dimension "
        f"{settings.dimension}, window {settings.window_radius}, {settings.negatives_per_pair} negatives, threshold "
        f"{settings.subsample_threshold:g}, min count {settings.min_count}, rate {settings.learning_rate:g} falling to "
        f"{settings.learning_rate * settings.final_rate_fraction:g}, "
        f"{settings.workers} workers"
    )
    yield ""
    yield f"| trainer | runs | words/s | vecmill is faster by | {' | '.join(metrics)} |"
    yield f"|---|---|---|---|{'---|' * len(metrics)}"
    for trainer in comparison.trainers:
        every = ", ".join(f"{ratio:.2f}" for ratio in trainer.ratios)
        ratio = f"**{trainer.ratio:.2f}** ({every})" if trainer.ratio else ""
        scores = [trainer.quality[metric] for metric in metrics]
        cells = [trainer.trainer, str(trainer.runs), f"{trainer.words_per_second:,.0f}", ratio]
        cells += [f"{score.mean:.3f} ± {score.deviation:.3f}" for score in scores]
        yield f"| {' | '.join(cells)} |"


def _sweep(name: str, values: dict[int, SettingSummary], epochs: str) -> Iterator[str]:
    first = next(iter(values.values()))
    peers = [trainer.trainer for trainer in first.trainers if trainer.trainer != "vecmill"]
    yield f"## {HEADINGS[name]}"
    yield ""
    yield f"{first.corpus}, {epochs}, all other settings as above."
    yield ""
    products = name == "dimension"
    yield (
        f"| {name} | vecmill words/s |{' vecmill M word-dimensions/s |' if products else ''}"
        f" {' | '.join(f'{peer} words/s | ratio' for peer in peers)} |"
    )
    yield f"|---|---|{'---|' * products}{'---|---|' * len(peers)}"
    for value, setting in values.items():
        speed = setting.of("vecmill").words_per_second
        cells = [str(value), f"{speed:,.0f}", *([f"{speed * value / 1e6:,.0f}"] if products else [])]
        for peer in peers:
            cells += [f"{setting.of(peer).words_per_second:,.0f}", f"{setting.of(peer).ratio:.2f}"]
        yield f"| {' | '.join(cells)} |"
