"""One list of pairs, written in every form that tools and authors write it in, is read as the same list."""

import csv
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gensim.test.utils import datapath

from storage.errors import GoldSetError
from storage.gold_sets import read_gold_sets

GOLD = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "gold"
# Every fifth row, so that each list is read in hundreds of forms within seconds.
PLAIN = {
    "simlex": (Path(datapath("simlex999.txt")), 20),
    "wordsim": (Path(datapath("wordsim353.tsv")), 7),
    "rg65": (GOLD / "EN-RG-65.txt", 1),
    "men": (GOLD / "EN-MEN-TR-3k.txt", 60),
    "mturk": (GOLD / "EN-MTurk-771.txt", 15),
}
RELATIONS = ("SYNONYMS", "HYPER/HYPONYMS", "NONE", "ANTONYMS", "COHYPONYMS")
Rows = list[tuple[str, str, str]]


def plain_rows(name: str) -> Rows:
    path, step = PLAIN[name]
    if not path.is_file():
        pytest.skip(f"the optional gold set {path} is absent")
    lines = [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return [(first, second, score) for first, second, score in (line.split("\t") for line in lines[::step])]


def with_columns(rows: Rows, form: str) -> tuple[list[str], list[list[str]]]:
    """Heading and rows as the published lists have their columns."""
    made = [list(row) for row in rows]
    match form:
        case "plain":
            return ["word1", "word2", "score"], made
        case "simlex":
            head = ["word1", "word2", "POS", "SimLex999", "conc(w1)", "conc(w2)", "concQ", "Assoc(USF)", "SimAssoc333", "SD(SimLex)"]
            return head, [[a, b, "A", s, "2.7", "2.8", "2", "7.25", "1", f"{i % 9 / 7:.2f}"] for i, (a, b, s) in enumerate(made)]
        case "simverb":
            return ["word1", "word2", "POS", "score", "relation"], [[a, b, "V", s, RELATIONS[i % 5]] for i, (a, b, s) in enumerate(made)]
        case "deviation":
            return ["word_1", "word_2", "similarity", "std"], [[a, b, s, f"{i % 9 / 7:.2f}"] for i, (a, b, s) in enumerate(made)]
        case "raters":
            raters = [[f"{float(s) + shift:.3f}" for shift in (-1, 1, -0.5, 0.5)] for _, _, s in made]
            return ["Word 1", "Word 2", "Human (mean)", "1", "2", "3", "4"], [row + own for row, own in zip(made, raters, strict=True)]
        case "score first":
            return ["rating", "word1", "word2"], [[s, a, b] for a, b, s in made]
    raise AssertionError(form)


FORMS = ("plain", "simlex", "simverb", "deviation", "raters", "score first")
INDEXES = (None, "pandas", "from one", "R", "sampled")
DELIMITERS = ("\t", ",", ";", "|", " ")


def written(rows: Rows, form: str, index: str | None, delimiter: str, quoted: bool, has_heading: bool, comma: bool) -> str:
    heading, body = with_columns(rows, form)
    if comma:
        body = [[f.replace(".", ",") if f.replace(".", "").replace("-", "").isdigit() else f for f in row] for row in body]
    if index == "pandas":
        heading, body = ["", *heading], [[str(i), *row] for i, row in enumerate(body)]
    elif index == "from one":
        heading, body = ["id", *heading], [[str(i), *row] for i, row in enumerate(body, 1)]
    elif index == "sampled":
        numbers = np.random.default_rng(1).permutation(3000)[: len(body)]
        heading, body = ["Unnamed: 0", *heading], [[str(i), *row] for i, row in zip(numbers, body, strict=True)]
    elif index == "R":
        body = [[str(i), *row] for i, row in enumerate(body, 1)]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL, lineterminator="\n").writerows(
        [heading, *body] if has_heading else body
    )
    return out.getvalue()


def forms() -> Iterator[tuple[str, str | None, str, bool, bool, bool]]:
    return itertools.product(FORMS, INDEXES, DELIMITERS, (False, True), (True, False), (False, True))


@pytest.mark.parametrize("name", PLAIN)
def test_a_list_is_read_the_same_in_every_form_or_refused(tmp_path: Path, name: str) -> None:
    rows = plain_rows(name)
    read = refused = 0
    path = tmp_path / "gold.csv"
    for form, index, delimiter, quoted, has_heading, comma in forms():
        path.write_text(written(rows, form, index, delimiter, quoted, has_heading, comma), "utf-8")
        try:
            pairs = read_gold_sets([str(path)]).similarity[-1]
        except GoldSetError as error:
            assert f"{path}:word1,word2,score" in str(error)
            print("REFUSED", form, index, repr(delimiter), quoted, has_heading, comma, str(error)[-200:])
            refused += 1
            continue
        assert list(zip(pairs.first, pairs.second, pairs.scores, strict=True)) == [(a, b, float(s)) for a, b, s in rows], (
            form, index, delimiter, quoted, has_heading, comma, pairs.columns,
        )
        assert not pairs.left_out
        read += 1
    print(name, read, refused)
