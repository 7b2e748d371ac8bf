"""The quality report: which runs it asks for, how it chooses the peer's settings, and the page it writes."""

from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors
from gensim.test.utils import datapath

from benchmarks.corpora import load_corpus
from benchmarks.defaults import BASE
from benchmarks.gold_halves import reported_scores, searched_scores
from benchmarks.ledger import Ledger, Part, Run, this_place
from benchmarks.quality_plot import plot_quality
from benchmarks.quality_report import (
    GENSIM_DEFAULTS,
    GRID,
    add_peers,
    run_all,
    summaries,
    tuned_settings,
    write_page,
)
from benchmarks.texts import Text, find_texts
from benchmarks.trainers import BenchmarkSettings
from storage.gold.sets import read_default_gold_sets


def some_run(part: Part, trainer: str, settings: BenchmarkSettings, value: float) -> Run:
    return Run(
        part=part,
        corpus="text",
        tokens=100,
        trainer=trainer,
        settings=settings,
        seconds=1.0,
        words_per_second=500.0,
        quality={"wordsim353": value, "simlex999": value / 2},
    )


def a_ledger() -> Ledger:
    tried = [BASE.model_copy(update=changes) for changes in GRID]
    runs = [some_run("search", "gensim", settings, 0.3 + 0.01 * number) for number, settings in enumerate(tried)]
    best = tried[-1]
    for seed in (1, 2):
        changes = {"seed": seed}
        runs.append(some_run("quality", "vecmill", BASE.model_copy(update=changes), 0.5))
        runs.append(some_run("quality", "gensim", GENSIM_DEFAULTS.model_copy(update=changes), 0.2))
        runs.append(some_run("quality", "gensim", best.model_copy(update=changes), 0.44))
    return Ledger(place=this_place(), date="2026-01-01", load_before=0, runs=runs)


def test_the_peer_is_tuned_by_the_mean_of_the_searched_scores() -> None:
    assert tuned_settings(a_ledger(), "text") == BASE.model_copy(update=GRID[-1])
    assert tuned_settings(a_ledger(), "another text") is None


def test_the_page_compares_with_the_better_peer_and_names_what_was_skipped() -> None:
    page = write_page(a_ledger(), {"korean-wikipedia": "no file kowiki.zst"})
    assert "| vecmill, defaults | 2 | 0.500 ± 0.000 | 0.250 ± 0.000 |" in page
    assert "| gensim, tuned skip-gram | 2 | 0.440 ± 0.000 | 0.220 ± 0.000 |" in page
    assert "| **vecmill above the better one** | | +0.060 | +0.030 |" in page
    assert "- korean-wikipedia: no file kowiki.zst" in page


def test_gensims_runs_are_kept_for_other_code_of_vecmill_but_not_for_another_gensim(tmp_path: Path) -> None:
    earlier, path = a_ledger(), tmp_path / "quality.json"
    earlier.save(path)
    ledger = Ledger(place=this_place(), date="2026-02-02", load_before=0, runs=[])
    add_peers(ledger, path)
    assert ledger.runs == [run for run in earlier.runs if run.trainer == "gensim"]
    assert f"gensim's runs are those of 2026-01-01 on {earlier.place.processor}" in write_page(ledger, {})
    other = earlier.place.model_copy(update={"versions": earlier.place.versions | {"gensim": "0.1"}})
    earlier.model_copy(update={"place": other}).save(path)
    ledger = Ledger(place=this_place(), date="2026-02-02", load_before=0, runs=[])
    add_peers(ledger, path)
    assert not ledger.runs


def test_the_plot_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        plot_quality(summaries(a_ledger()), tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_a_comparison_that_is_out_of_time_starts_nothing(tmp_path: Path) -> None:
    text = Text("lee", None, lambda folder: load_corpus(Path(datapath("lee_background.cor")), folder))
    ledger = Ledger(place=this_place(), date="2026-01-01", load_before=0, runs=[])
    assert run_all(ledger, [text], 1, deadline=0.0, file=tmp_path / "partial.json") is False
    assert not ledger.runs


def test_absent_corpora_have_a_reason() -> None:
    for text in find_texts(Path("unused")):
        assert text.missing is None or "no file" in text.missing or "not installed" in text.missing


def test_halves_are_scored_as_gensim_scores_the_whole() -> None:
    gold = read_default_gold_sets()
    (analogies,) = gold.analogies
    names = list(analogies.sections)
    words = sorted({word.lower() for name in names[0::2] for question in analogies.sections[name] for word in question})
    vectors = KeyedVectors(16)
    vectors.add_vectors(words, np.random.default_rng(1).standard_normal((len(words), 16), dtype=np.float32))
    searched, reported = searched_scores(vectors, korean=False), reported_scores(vectors, korean=False)
    assert set(searched) >= {"analogies_odd"}
    assert set(reported) >= {"wordsim353", "simlex999", "analogies_even"}
    assert reported["wordsim353"] == pytest.approx(vectors.evaluate_word_pairs(datapath("wordsim353.tsv"))[1][0])
