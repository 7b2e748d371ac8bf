"""Gold sets are read in every form they are shared in, and bad rows are named."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from gensim.test.utils import datapath
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import GoldSetError
from storage.gold import sets as gold_sets
from storage.gold.sets import gold_metrics, read_analogies, read_default_gold_sets, read_gold_sets, read_word_pairs

GOLD = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "gold"


def written(folder: Path, text: str | bytes, name: str = "gold.txt") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_default_sets_are_whole() -> None:
    gold = read_default_gold_sets()
    assert {pairs.name: len(pairs.scores) for pairs in gold.similarity} == {"wordsim353": 353, "simlex999": 999}
    (analogies,) = gold.analogies
    assert len(analogies.sections) == 14
    assert sum(map(len, analogies.sections.values())) == 19544
    assert analogies.sections["family"][0] == ("boy", "girl", "brother", "sister")
    assert gold.digests["simlex999"] == hashlib.sha256(Path(datapath("simlex999.txt")).read_bytes()).hexdigest()


@pytest.mark.parametrize("separator", ["\t", ",", " ", "  \t "])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("heading", [["word1", "word2", "human score"], None])
@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
def test_pairs_are_read_whatever_separates_them(
    tmp_path: Path, separator: str, ending: str, heading: list[str] | None, mark: bytes
) -> None:
    rows = ["# a comment", "", *([separator.join(heading)] if heading else [])]
    rows += [separator.join(["tiger", "cat", "7.35"]), separator.join(["사랑", "섹스", "10"])]
    pairs = read_word_pairs(written(tmp_path, mark + ending.join(rows).encode()))
    assert pairs.name == "gold"
    assert pairs.first == ("tiger", "사랑")
    assert pairs.second == ("cat", "섹스")
    np.testing.assert_array_equal(pairs.scores, [7.35, 10.0])


def test_the_score_is_the_first_number_after_the_words(tmp_path: Path) -> None:
    text = "word1\tword2\tPOS\tSimLex999\tconc\nold\tnew\tA\t1.58\t2.72\nsmart\tdumb\tA\t0.55\t3.1\n"
    pairs = read_word_pairs(written(tmp_path, text))
    np.testing.assert_array_equal(pairs.scores, [1.58, 0.55])


def test_a_quoted_comma_belongs_to_its_word(tmp_path: Path) -> None:
    assert read_word_pairs(written(tmp_path, '"1,000",many,6\ntiger,cat,7\n')).first == ("1,000", "tiger")


# A letter in each: a column of numbers is never taken for words.
words = st.text(st.characters(codec="utf-8", categories=["L", "N"]), max_size=8).map(lambda text: f"w{text}")
scores = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))


@given(rows=st.lists(st.tuples(words, words, scores), min_size=1, max_size=20), separator=st.sampled_from("\t, "))
def test_pairs_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, float]], separator: str
) -> None:
    text = "\n".join(separator.join(map(str, row)) for row in rows)
    pairs = read_word_pairs(written(tmp_path_factory.mktemp("gold"), text))
    assert list(zip(pairs.first, pairs.second, pairs.scores, strict=True)) == rows


@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_by_name(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = written(tmp_path_factory.mktemp("gold"), data)
    for read in (read_word_pairs, read_analogies):
        try:
            read(path)
        except GoldSetError as error:
            assert str(path) in str(error)  # noqa: PT017  # either outcome is right


@pytest.mark.parametrize(
    "bad",
    ["tiger\tcat", "tiger\tcat\thigh", "tiger\t\t5", "tiger\tcat\tnan", "tiger cat", "x" * 200_000 + ",cat,5"],
    ids=range(6),
)
def test_a_bad_pair_is_left_out_and_named_by_file_and_line(
    tmp_path: Path, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, f"# heading\nlove\tsex\t6.77\n{bad}\nday\tdawn\t7\n")
    pairs = read_word_pairs(path)
    assert pairs.first == ("love", "day")
    assert pairs.left_out == (3,)
    assert f"{path}:3 (expected word, word and a number)" in caplog.text


def test_many_bad_rows_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pairs = read_word_pairs(written(tmp_path, "love sex 6.77\n" + "tiger cat\n" * 9))
    assert pairs.left_out == tuple(range(2, 11))
    assert "skipped 9 malformed rows" in caplog.text
    assert "gold.txt:6 and 4 more" in caplog.text


@pytest.mark.parametrize("text", ["", "# nothing\n\n", "word1,word2,score\n"])
def test_a_file_without_a_pair_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(GoldSetError, match="has no usable rows"):
        read_word_pairs(written(tmp_path, text))


def test_a_file_of_bad_rows_is_refused_and_names_them(tmp_path: Path) -> None:
    path = written(tmp_path, "word1 word2 score\ntiger cat\ntiger cat high\n")
    with pytest.raises(GoldSetError, match=rf"has no usable rows .* malformed rows: {path}:2, {path}:3; fix it"):
        read_word_pairs(path)


def test_a_heading_with_numbers_in_it_is_no_pair(tmp_path: Path) -> None:
    # As the two parts of WordSim-353 come: the scores of each subject follow, under their numbers.
    pairs = read_word_pairs(
        written(tmp_path, "Word 1,Word 2,Human (mean),1,2\nlove,sex,6.77,9,6\ntiger,cat,7.35,9,7\n")
    )
    assert pairs.first == ("love", "tiger")
    np.testing.assert_array_equal(pairs.scores, [6.77, 7.35])
    assert not pairs.left_out


def test_parts_of_speech_are_removed_where_every_word_has_one(tmp_path: Path) -> None:
    assert read_word_pairs(written(tmp_path, "sun-n sunlight-n 50\nrun-v well-j 9\n")).first == ("sun", "run")
    assert read_word_pairs(written(tmp_path, "vitamin-a sunlight-n 50\nrun walk 9\n")).first == ("vitamin-a", "run")


def test_simverb_with_its_tag_and_its_relation_is_read(tmp_path: Path) -> None:
    pairs = read_word_pairs(written(tmp_path, "take\tremove\tV\t6.81\tSYNONYMS\nwalk\ttrail\tV\t4.81\tCOHYPONYMS\n"))
    np.testing.assert_array_equal(pairs.scores, [6.81, 4.81])


def test_a_file_that_is_not_utf8_is_refused_with_the_offset(tmp_path: Path) -> None:
    with pytest.raises(GoldSetError, match="not UTF-8 text: invalid byte at offset 4"):
        read_word_pairs(written(tmp_path, b"caf \xe9 1\n"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GoldSetError, match=r"absent\.txt cannot be read"):
        read_analogies(tmp_path / "absent.txt")


def test_a_missing_gensim_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gold_sets, "find_spec", lambda name: None)
    with pytest.raises(GoldSetError, match="pip install gensim"):
        read_default_gold_sets()


def test_analogies_are_read_by_section(tmp_path: Path) -> None:
    text = (
        "\ufeff// from word2vec\n: family\nboy girl brother sister\n\n:plural \ncat cats dog dogs\nman men cat cats\n"
    )
    analogies = read_analogies(written(tmp_path, text), "mine")
    assert analogies.name == "mine"
    assert analogies.sections == {
        "family": (("boy", "girl", "brother", "sister"),),
        "plural": (("cat", "cats", "dog", "dogs"), ("man", "men", "cat", "cats")),
    }


def test_questions_before_any_section_are_kept_under_the_name_of_the_file(tmp_path: Path) -> None:
    assert list(read_analogies(written(tmp_path, "a b c d\n")).sections) == ["gold"]


def test_a_bad_question_is_left_out_and_named_by_file_and_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, ": family\nboy girl brother sister\nboy girl brother\n")
    assert read_analogies(path).left_out == (3,)
    assert f"{path}:3 (expected four words" in caplog.text


@pytest.mark.parametrize("heading", ["type,word1,word2,word3,target\n", ""])
@pytest.mark.parametrize("separator", [",", "\t"])
def test_analogies_with_their_section_in_a_column_are_read(tmp_path: Path, heading: str, separator: str) -> None:
    text = heading + "capital,서울,대한민국,도쿄,일본\ngram1,New York,New Yorker,Paris,Parisian\n"
    analogies = read_analogies(written(tmp_path, text.replace(",", separator)))
    assert analogies.sections == {
        "capital": (("서울", "대한민국", "도쿄", "일본"),),
        "gram1": (("New York", "New Yorker", "Paris", "Parisian"),),
    }


def test_further_files_join_the_default_sets_as_their_rows_show(tmp_path: Path) -> None:
    pairs = written(tmp_path, "tiger,cat,7\ntiger cat\n", "My Pairs-2.csv")
    questions = written(tmp_path, "family,boy,girl,brother,sister\n", "kin.csv")
    gold = read_gold_sets([str(pairs), str(questions)])
    assert [known.name for known in gold.similarity] == ["wordsim353", "simlex999", "my_pairs_2"]
    assert [known.name for known in gold.analogies] == ["google_analogies", "kin"]
    assert gold_metrics([str(pairs), str(questions)]) == [
        "wordsim353", "simlex999", "google_analogies", "my_pairs_2", "kin",
    ]  # fmt: skip
    assert gold.left_out == {"my_pairs_2": (2,)}
    assert set(gold.digests) == set(gold_metrics([str(pairs), str(questions)]))


def test_two_gold_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GoldSetError, match="collides with another, simlex999"):
        read_gold_sets([str(written(tmp_path, "tiger,cat,7\n", "SimLex999.txt"))])


def test_a_file_without_a_question_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GoldSetError, match="has no usable rows"):
        read_analogies(written(tmp_path, ": family\n"))


@pytest.mark.skipif(not GOLD.is_dir(), reason=f"the optional gold sets are not in {GOLD}")
@pytest.mark.parametrize(
    ("file", "pairs"),
    [
        ("EN-MC-30.txt", 30),
        ("EN-MEN-TR-3k.txt", 3000),
        ("EN-MTurk-771.txt", 771),
        ("EN-RG-65.txt", 65),
        ("EN-SIMLEX-999.txt", 999),
        ("EN-WS-353-ALL.txt", 353),
        ("EN-WS-353-REL.txt", 252),
        ("EN-WS-353-SIM.txt", 203),
        ("WS353_korean.csv", 353),
    ],
)
def test_shared_gold_sets_are_read_whole(file: str, pairs: int) -> None:
    read = read_gold_sets([str(GOLD / file)]).similarity[-1]
    assert len(read.scores) == pairs
    assert not read.left_out
