"""Items of sequences are tokens as they are, in the order of their list or column."""

from pathlib import Path

import pytest

from storage.corpus.source_rows import RowOptions
from storage.corpus.source_sequences import SEPARATOR
from storage.errors import CorpusError
from tests.storage.corpus.test_source_rows import FORMS, read, written


def sequences(
    folder: Path, content: bytes | str, options: RowOptions | None = None, name: str = "a"
) -> list[list[str]]:
    texts = read(folder, content, "item", options, "sequences", name)
    return [text.split(SEPARATOR)[:-1] for text in texts]


@pytest.mark.parametrize("form", FORMS)
def test_a_list_column_of_ids_or_names_is_a_sequence(tmp_path: Path, form: str) -> None:
    assert sequences(tmp_path, written([{"item": [12, 7, None]}, {"item": None}, {"item": [7]}], form)) == [
        ["12", "7"],
        ["7"],
    ]
    assert sequences(tmp_path, written([{"item": ["Red shoes", " ", "42"]}], form)) == [["Red shoes", "42"]]


@pytest.mark.parametrize("form", [*FORMS, "csv"])
def test_rows_of_a_group_form_a_sequence_in_the_order_of_a_column(tmp_path: Path, form: str) -> None:
    events = [("b", 10, "x y"), ("a", 2, "p"), ("b", 9, "z"), ("a", 1, "q"), ("b", 9, "w")]
    rows = [{"user": user, "time": time, "item": item} for user, time, item in events]
    lines = ["user,time,item", *(f"{user},{time},{item}" for user, time, item in events)]
    content = "\n".join(lines).encode() if form == "csv" else written(rows, form)
    name = "a.csv" if form == "csv" else "a"
    options = RowOptions(group_column="user", order_column="time")
    assert sequences(tmp_path, content, options, name) == [["q", "p"], ["z", "w", "x y"]]
    options = RowOptions(group_column="user")
    assert sequences(tmp_path, content, options, name) == [["p", "q"], ["x y", "z", "w"]]


def test_lines_are_sequences_of_ids_separated_by_spaces(tmp_path: Path) -> None:
    assert sequences(tmp_path, "39 48 1\n2\n") == [["39", "48", "1"], ["2"]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"item": "red shoes"}, r"contains text, not a list of ids; .*corpus\.group_column"),
        ({"item": [1.5]}, "contains (float|Decimal); ids of items are text or whole numbers"),
        ({"item": ["a\x1fb"]}, r"control character U\+001F"),
    ],
)
@pytest.mark.parametrize("form", ["jsonl", "json", "parquet"])
def test_values_that_are_no_ids_are_errors(tmp_path: Path, form: str, row: dict[str, object], message: str) -> None:
    with pytest.raises(CorpusError, match=f"(line|row|item) 1: .*{message}"):
        sequences(tmp_path, written([row], form))


def test_rows_without_a_group_are_counted(tmp_path: Path) -> None:
    options = RowOptions("skip", group_column="user")
    content = '{"user": "a", "item": 1}\n{"user": null, "item": 2}\n{"item": 3}\n'
    assert sequences(tmp_path, content, options) == [["1"]]
    assert options.left_out == {"rows without a group or an item": 1, "rows without the column": 1}
