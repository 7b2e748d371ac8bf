"""One list of pairs, written in every form that tools and authors write it in, is read as the same list."""

import csv
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gensim.test.utils import datapath

from storage.gold.files import parse_gold

GOLD = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "gold"
# The file and the step between the rows that are taken: each list is read in 600 forms.
PLAIN = {
    "simlex": (Path(datapath("simlex999.txt")), 40),
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
            head = [
                "word1",
                "word2",
                "POS",
                "SimLex999",
                "conc(w1)",
                "conc(w2)",
                "concQ",
                "Assoc(USF)",
                "SimAssoc333",
                "SD(SimLex)",
            ]
            return head, [
                [a, b, "A", s, "2.7", "2.8", "2", "7.25", "1", f"{i % 9 / 7:.2f}"] for i, (a, b, s) in enumerate(made)
            ]
        case "simverb":
            return ["word1", "word2", "POS", "score", "relation"], [
                [a, b, "V", s, RELATIONS[i % 5]] for i, (a, b, s) in enumerate(made)
            ]
        case "deviation":
            return ["word_1", "word_2", "similarity", "std"], [
                [a, b, s, f"{i % 9 / 7:.2f}"] for i, (a, b, s) in enumerate(made)
            ]
        case "raters":
            raters = [[f"{float(s) + shift:.3f}" for shift in (-1, 1, -0.5, 0.5)] for _, _, s in made]
            return ["Word 1", "Word 2", "Human (mean)", "1", "2", "3", "4"], [
                row + own for row, own in zip(made, raters, strict=True)
            ]
        case "score first":
            return ["rating", "word1", "word2"], [[s, a, b] for a, b, s in made]
    raise AssertionError(form)


FORMS = ("plain", "simlex", "simverb", "deviation", "raters", "score first")
INDEXES = (None, "pandas", "from one", "R", "sampled")
DELIMITERS = ("\t", ",", ";", "|", " ")


def written(
    rows: Rows, form: str, index: str | None, delimiter: str, quoted: bool, has_heading: bool, comma: bool
) -> str:
    heading, body = with_columns(rows, form)
    if comma:
        body = [
            [f.replace(".", ",") if f.replace(".", "").replace("-", "").isdigit() else f for f in row] for row in body
        ]
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
    csv.writer(
        out, delimiter=delimiter, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL, lineterminator="\n"
    ).writerows([heading, *body] if has_heading else body)
    return out.getvalue()


def forms() -> Iterator[tuple[str, str | None, str, bool, bool, bool]]:
    return itertools.product(FORMS, INDEXES, DELIMITERS, (False, True), (True, False), (False, True))


@pytest.mark.parametrize(
    "name", ["simlex", *(pytest.param(name, marks=pytest.mark.long) for name in PLAIN if name != "simlex")]
)
def test_a_list_is_read_the_same_in_every_form_or_refused(tmp_path: Path, name: str) -> None:
    rows = plain_rows(name)
    expected = [(first, second, float(score)) for first, second, score in rows]
    refused: set[tuple[object, ...]] = set()
    for form in forms():
        try:
            found = parse_gold(written(rows, *form), "gold")
        except ValueError as error:
            assert "column" in str(error)  # noqa: PT017  # either outcome is right
            refused.add(form)
            continue
        assert (found.pairs, found.bad) == (expected, []), (form, found.columns)
    # With a heading all is clear, but for a few files of unquoted decimal commas; two numbers without one are not.
    assert sum(bool(has_heading) for *_, has_heading, _ in refused) <= 5
    assert len(refused) <= 325


def test_columns_that_are_named_or_numbered_are_read() -> None:
    text = "pair,a,b,similarity,relatedness\n7,tiger,cat,1,2\n9,love,sex,3,4\n"
    with pytest.raises(ValueError, match=r"columns can be the score; its columns are 1 \(pair\), 2 \(a\)"):
        parse_gold(text, "gold")
    for columns in (["a", "b", "relatedness"], ["2", "3", "5"], ["A", "B", "Relatedness"]):
        assert [pair.score for pair in parse_gold(text, "gold", columns).pairs] == [2, 4]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (["pair", "a", "b"], "column 1 contains numbers and cannot be words"),
        (["a", "b", "c"], "no column 'c'"),
        (["a", "a", "similarity"], "not all different"),
        (["similarity", "a", "b"], "column 4 contains numbers and cannot be words"),
        (["1", "2", "9"], "no column '9'"),
    ],
)
def test_columns_that_cannot_be_read_are_refused(columns: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_gold("pair,a,b,similarity\n7,tiger,cat,1\n9,love,sex,3\n", "gold", columns)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2,5.0\n3,4,6.0\n5,6,7.5\n", "no row"),
        ("0,tiger,cat\n1,love,sex\n2,day,dawn\n", "row numbers"),
        ("17,tiger,cat\n3,love,sex\n200,day,dawn\n", "row numbers"),
        ("tiger,cat,1,3\nlove,sex,2,4\nday,dawn,9,9\n", "2 columns can be the score"),
        ('tiger,cat,"1,234"\nlove,sex,3\n', "may mean 1234 or 1.234"),
        ("aa,bb,cc,1\ndd,ee,ff,2.5\n", "3 columns can be the two words"),
        ("word1,word2,word3,score\nking,queen,car,1\ndog,cat,bus,2.5\n", "3 columns are named as words"),
        ("word1,word2,score\n1,2,3\n4,5,6\n7,8,9\n", "no row"),
    ],
)
def test_what_is_ambiguous_or_no_words_is_refused(text: str, said: str) -> None:
    try:
        found = parse_gold(text, "gold")
    except ValueError as error:
        assert re.search(said, str(error))  # noqa: PT017  # either form of refusal
    else:
        assert said == "no row"
        assert not found.pairs
        assert not found.sections


def test_a_first_row_that_cannot_be_used_is_named() -> None:
    found = parse_gold(
        "tiger\tcat\tseven\nlove\tsex\t6.77\nday\tdawn\t7\n#tag\tword\t3\ncat\tdog\t8\ngem\tjewel\t1_0\n", "gold"
    )
    assert found.bad == [1, 4, 6]
    assert len(found.pairs) == 3


@pytest.mark.parametrize("heading", ["", ",type,a,b,c,d\n", "id,category,word1,word2,word3,word4\n"])
def test_an_index_in_front_of_analogies_is_passed_over(heading: str) -> None:
    rows = "0,kin,boy,girl,brother,sister\n1,kin,man,woman,king,queen\n2,plural,cat,cats,dog,dogs\n"
    found = parse_gold(heading + rows, "gold")
    assert {name: len(questions) for name, questions in found.sections.items()} == {"kin": 2, "plural": 1}
    assert found.sections["kin"][0] == ("boy", "girl", "brother", "sister")
    assert not found.bad


def test_the_section_may_be_the_last_column() -> None:
    rows = "boy girl brother sister kin\nman woman king queen kin\ncat cats dog dogs plural\n"
    assert list(parse_gold(rows.replace(" ", ","), "gold").sections) == ["kin", "plural"]


def test_a_colon_starts_a_pair_like_any_word() -> None:
    assert len(parse_gold(":) happy 9\n:( sad 9\ntiger cat 7\n", "gold").pairs) == 3


def test_scores_with_thousands_and_decimal_commas() -> None:
    text = "wort1;wort2;bewertung\nTiger;Katze;1.234,5\nTag;Nacht;999,25\nAuto;Rad;1.000\n"
    assert [pair.score for pair in parse_gold(text, "gold").pairs] == [1234.5, 999.25, 1000]
