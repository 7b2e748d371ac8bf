"""Words and texts become vectors in SQL as they do in NumPy, from the tokens of the pipeline."""

import gzip
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from storage.releases.file import ReleaseContent, write_release_file
from storage.releases.reader import check_release_file, open_release
from storage.releases.text_tokens import token_list, tokenizer_in_sql
from tasks.text.tokenizers import TOKENIZERS, TokenizerName
from tests.storage.sample_releases import content

CORPORA = Path(__file__).resolve().parents[4] / "shared/data/corpora"
REAL = {
    "enwiki2015_AA_wikiextractor.txt.zst": 6000,
    "kowiki2022_AC00-49_wikiextractor.txt.zst": 3000,
    "wikitext2.train.tokens.zst": 500,
    "text8_prefix_6877825B.gz": 500,
}
SIGNS = (
    "aBcσΣΟς '\"·‧״׳אבגİIıé\u0301\u00ad\u200d\u200c\ufeff’‘＇ .-1٣½Ⅳⓐªºʰ\n\t\x1c\x85\xa0\u3000\u2028한국語ไทยﬁ\u0345:"
)
NAMES: list[TokenizerName] = ["unicode_words", "whitespace"]


def tokens_in_sql(name: str, texts: list[str]) -> list[list[str]]:
    asked = pa.table({"asked": texts})
    with duckdb.connect() as connection:
        connection.register("texts", asked)
        return [tokens for (tokens,) in connection.sql(f"SELECT {token_list(name, 'asked')} FROM texts").fetchall()]


def lines(path: Path) -> list[str]:
    zstandard = pytest.importorskip("zstandard")
    with gzip.open(path) if path.suffix == ".gz" else zstandard.open(path) as file:
        text = file.read(30_000_000).decode(errors="ignore")
    return text.split("\n") if text.count("\n") > 100 else [text[at : at + 500] for at in range(0, len(text), 500)]


@pytest.mark.parametrize("name", NAMES)
def test_tokens_of_odd_signs_are_those_of_the_pipeline(name: TokenizerName) -> None:
    chosen = random.Random(1)
    texts = ["".join(chosen.choices(SIGNS, k=chosen.randrange(15))) for _ in range(20_000)]
    assert tokens_in_sql(name, texts) == TOKENIZERS[name](pa.array(texts)).to_pylist()


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_tokens_of_10000_real_texts_are_those_of_the_pipeline(name: TokenizerName) -> None:
    if not CORPORA.is_dir():
        pytest.skip(f"the corpora of {CORPORA} are absent")
    chosen = random.Random(1)
    texts = [text for file, number in REAL.items() for text in chosen.sample(lines(CORPORA / file), number)]
    assert tokens_in_sql(name, texts) == TOKENIZERS[name](pa.array(texts)).to_pylist()


@pytest.fixture(scope="module")
def made() -> ReleaseContent:
    return content(["the", "film", "a", "dull", "café", *(f"word{number}" for number in range(200))])


@pytest.fixture(scope="module")
def connection(made: ReleaseContent, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    path = tmp_path_factory.mktemp("texts") / "release.duckdb"
    write_release_file(path, "news", 1, made)
    with open_release(path) as connection:
        yield connection


def expected_mean(made: ReleaseContent, words: list[str]) -> np.ndarray:
    rows = [made.words.index(word) for word in words if word in made.words]
    unit = made.vectors[rows] / np.linalg.norm(made.vectors[rows].astype(np.float64), axis=1, keepdims=True)
    weights = 1e-3 / (1e-3 + made.counts[rows] / made.counts.sum())
    return np.average(unit, axis=0, weights=weights)


def test_weights_are_those_of_sif(connection: duckdb.DuckDBPyConnection, made: ReleaseContent) -> None:
    found = [weight for (weight,) in connection.execute("SELECT weight FROM word_vectors ORDER BY rank").fetchall()]
    np.testing.assert_allclose(found, 1e-3 / (1e-3 + made.counts / made.counts.sum()), rtol=1e-6)


def test_weights_without_counts_follow_zipfs_law(made: ReleaseContent, tmp_path: Path) -> None:
    write_release_file(tmp_path / "r.duckdb", "news", 1, replace(made, counts=np.zeros_like(made.counts)))
    check_release_file(tmp_path / "r.duckdb")
    with open_release(tmp_path / "r.duckdb") as connection:
        found = connection.execute("SELECT weight FROM word_vectors ORDER BY rank").fetchall()
        comments = dict(connection.execute("SELECT column_name, comment FROM duckdb_columns()").fetchall())
    ranks = np.arange(1, len(made.words) + 1)
    share = 1 / ranks / np.sum(1 / ranks)
    np.testing.assert_allclose([weight for (weight,) in found], 1e-3 / (1e-3 + share), rtol=1e-6)
    assert "unknown" in comments["count"]
    assert "Zipf" in comments["weight"]


def test_vectors_of_words_and_texts_are_numpys(connection: duckdb.DuckDBPyConnection, made: ReleaseContent) -> None:
    chosen = random.Random(2)
    for _ in range(300):
        words = chosen.choices([*made.words, "no-such-word"], k=chosen.randrange(1, 8))
        found = connection.execute("SELECT mean_vector(?), text_vector(?)", [words, " ".join(words)]).fetchone()
        assert found is not None
        if set(words) == {"no-such-word"}:
            assert found[0] is None
            continue
        np.testing.assert_allclose(found[0], expected_mean(made, words), atol=1e-6)
    for word in islice(made.words, 5):
        ((found_vector,),) = connection.execute("SELECT word_vector(?)", [word]).fetchall()
        np.testing.assert_allclose(found_vector, expected_mean(made, [word]), atol=1e-6)


def test_a_column_of_texts_is_read_row_by_row(connection: duckdb.DuckDBPyConnection, made: ReleaseContent) -> None:
    texts = ["The DULL film!", "caf\u0065\u0301", "quux", "", None, "The DULL film!"]
    rows = connection.execute("SELECT said, text_vector(said), text_vector(r.said) FROM unnest(?) r(said)", [texts])
    found = {row[0]: row[1:] for row in rows.fetchall()}
    np.testing.assert_allclose(found[texts[0]][0], expected_mean(made, ["the", "dull", "film"]), atol=1e-6)
    assert found["quux"] == found[""] == found[None] == (None, None)
    assert connection.execute("SELECT tokenize('The DULL film!'), tokenize(NULL)").fetchall() == [
        (["the", "dull", "film"], None)
    ]
    assert connection.execute(
        "SELECT typeof(text_vector('a')), typeof(word_vector('?')), mean_vector([])"
    ).fetchall() == [("FLOAT[16]", "FLOAT[16]", None)]


def test_a_tokenizer_that_sql_has_not_is_named(made: ReleaseContent, tmp_path: Path) -> None:
    write_release_file(tmp_path / "r.duckdb", "news", 1, replace(made, settings={"tokenizer": {"name": "korean"}}))
    check_release_file(tmp_path / "r.duckdb")
    with open_release(tmp_path / "r.duckdb") as connection:
        for macro in ("text_vector", "tokenize"):
            with pytest.raises(duckdb.InvalidInputException, match="cannot be expressed in SQL"):
                connection.execute(f"SELECT {macro}('a text')")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "unicode_words"),
        ({"tokenizer.name": '"whitespace"', "tokenizer.phrases": "0", "tokenizer.nfkc": "false"}, "whitespace"),
        ({"tokenizer.name": '"unicode_words"', "tokenizer.stop_words": '["the"]'}, "unicode_words"),
        ({"tokenizer.name": '"bpe"'}, None),
        ({"tokenizer.name": '"unicode_words"', "tokenizer.phrases": "2"}, None),
        ({"tokenizer.name": '"unicode_words"', "tokenizer.numbers": '"token"'}, None),
        ({"tokenizer.name": '"unicode_words"', "tokenizer.strip_accents": "true"}, None),
    ],
)
def test_only_plain_tokenizers_are_in_sql(settings: dict[str, str], expected: str | None) -> None:
    assert tokenizer_in_sql(settings) == expected


def test_a_long_column_with_gaps_is_read_row_by_row(
    connection: duckdb.DuckDBPyConnection, made: ReleaseContent
) -> None:
    chosen = random.Random(3)
    words = [*(f"word{number}" for number in range(250)), "the", "film"]
    texts = [
        chosen.choice([None, "", "quux"]) if number % 6 == 0 else " ".join(chosen.choices(words, k=1 + number % 40))
        for number in range(5000)
    ]
    rows = connection.execute(
        "SELECT nth, text_vector(said) FROM (SELECT unnest($1) AS nth, unnest($2) AS said) ORDER BY nth",
        [list(range(len(texts))), texts],
    ).fetchall()
    for number, vector in rows:
        known = [word for word in (texts[number] or "").split() if word in made.words]
        if known:
            np.testing.assert_allclose(vector, expected_mean(made, known), atol=1e-6)
        else:
            assert vector is None
