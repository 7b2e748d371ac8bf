"""What a warm start saves, measured on two halves of a small text."""

from pathlib import Path

from gensim.test.utils import datapath

from benchmarks.corpora import load_corpus
from benchmarks.warm_start import EPOCHS, STARTS, Attempt, attempt_all, table


def test_a_half_ends_with_the_line_that_reaches_it(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("a b c\nd e\nf g h\ni j\n", encoding="utf-8")
    half = load_corpus(text, tmp_path).first_half()
    assert half.token_count == 5
    assert half.encode(1).words == ["a", "b", "c", "d", "e"]


def test_every_start_is_trained_for_every_number_of_epochs(tmp_path: Path) -> None:
    corpus = load_corpus(Path(datapath("lee_background.cor")), tmp_path)
    attempts = list(attempt_all(corpus, [0.05], seed=1))
    assert [(attempt.start, attempt.epochs) for attempt in attempts] == [
        (start, epochs) for start in STARTS for epochs in EPOCHS
    ]


def test_the_table_holds_means_over_the_seeds() -> None:
    attempts = [Attempt("fresh", 1, 0.05, {"simlex999": value}) for value in (0.2, 0.4)]
    assert list(table(attempts))[2:] == ["| fresh | 0.05 | 1 | 0.300 ± 0.141 |"]
