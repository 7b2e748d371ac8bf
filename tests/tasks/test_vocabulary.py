"""The vocabulary and the encoded corpus of a small text, checked by hand and by DuckDB."""

from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from storage.corpus.encoded import EncodedCorpus
from storage.corpus.vocabularies import read_vocabulary
from storage.errors import VocabularyError
from storage.layout import Workspace
from storage.stages import Manifest
from tasks.corpus import fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.text.tokenizers import TokenizerConfig
from tasks.text.vocabulary import VocabularyConfig
from tasks.tokens import TokensFacts, tokenize_corpus
from tasks.vocabulary import EncodedFacts, VocabularyFacts, build_vocabulary, encode_corpus

TEXT = "the cat and the dog\nrare\na dog, the cat\n"


def tokenized(folder: Path, text: str) -> Manifest[TokensFacts]:
    (folder / "a.txt").write_text(text)
    corpus = fetch_corpus.fn(CorpusConfig(source="files", path=str(folder / "a.txt")), Workspace(folder))
    return tokenize_corpus.fn(corpus, TokenizerConfig(), Workspace(folder))


def test_the_vocabulary_holds_the_words_by_count_and_then_by_name(tmp_path: Path) -> None:
    vocabulary = build_vocabulary.fn(tokenized(tmp_path, TEXT), VocabularyConfig(min_count=2), Workspace(tmp_path))
    words = read_vocabulary(vocabulary)
    assert words.words == ["the", "cat", "dog"]
    assert words.counts.tolist() == [3, 2, 2]
    assert words.frequency.tolist() == [0.3, 0.2, 0.2]
    assert words.noise_probability.sum() == pytest.approx(1)
    assert vocabulary.facts == VocabularyFacts(words=3, distinct_words=6, corpus_tokens=10, covered_tokens=7)


def test_the_encoded_corpus_leaves_out_other_words_and_keeps_documents_apart(tmp_path: Path) -> None:
    tokens = tokenized(tmp_path, TEXT)
    vocabulary = build_vocabulary.fn(tokens, VocabularyConfig(min_count=2), Workspace(tmp_path))
    encoded = encode_corpus.fn(tokens, vocabulary, Workspace(tmp_path))
    assert encoded.facts == EncodedFacts(tokens=7, corpus_tokens=10, files=1)
    (chunk,) = EncodedCorpus(encoded.path).read_chunks()
    names = read_vocabulary(vocabulary).words
    sentences = [
        [names[token] for token in chunk.token_ids[begin:end]] for begin, end in pairwise(chunk.sentence_offsets)
    ]
    assert sentences == [["the", "cat", "the", "dog"], ["dog", "the", "cat"]]


def test_duckdb_counts_the_same_words_and_ids(tmp_path: Path, news_file: Path) -> None:
    tokens = tokenized(tmp_path, news_file.read_text())
    vocabulary = build_vocabulary.fn(tokens, VocabularyConfig(), Workspace(tmp_path))
    encoded = encode_corpus.fn(tokens, vocabulary, Workspace(tmp_path))
    with duckdb.connect() as connection:
        expected = connection.execute(
            "select row_number() over () - 1, * from (select word, count(*) from (select unnest(tokens) as word "
            "from read_parquet(?)) group by word having count(*) >= 5 order by count(*) desc, word)",
            [f"{tokens.path}/tokens-*.parquet"],
        ).fetchall()
        stored = connection.execute(
            "select token_id, word, count from read_parquet(?) order by token_id",
            [f"{vocabulary.path}/vocabulary.parquet"],
        ).fetchall()
        ids = connection.execute(
            "select id, count(*) from (select unnest(token_ids) as id from read_parquet(?)) group by id order by id",
            [f"{encoded.path}/*.parquet"],
        ).fetchall()
    assert stored == expected
    assert ids == [(token_id, count) for token_id, _, count in expected]
    assert len(expected) > 1_000


@pytest.mark.parametrize(
    ("text", "min_count", "message"),
    [
        ("a b c d", 5, r"no word with min_count=5, .* 4 tokens, 4 distinct, the most frequent one 1 times\); lower"),
        ("a a a b", 2, r"has 1 word with min_count=2, but training needs at least two .*; lower vocabulary\.min_count"),
        ("a a a a", 1, r"has 1 word with min_count=1, .*; add text"),
        ("!!! ...", 1, r"no word with min_count=1, .* 0 tokens, 0 distinct\); add text"),
    ],
)
def test_a_vocabulary_of_fewer_than_two_words_is_an_error(
    tmp_path: Path, text: str, min_count: int, message: str
) -> None:
    workspace = Workspace(tmp_path)
    with pytest.raises(VocabularyError, match=message):
        build_vocabulary.fn(tokenized(tmp_path, text), VocabularyConfig(min_count=min_count), workspace)
    assert not [found for found in workspace.stage_root("vocabularies").iterdir() if found.is_dir()]


def test_another_threshold_is_another_vocabulary_of_the_same_tokens(tmp_path: Path) -> None:
    tokens = tokenized(tmp_path, TEXT)
    first = build_vocabulary.fn(tokens, VocabularyConfig(min_count=1), Workspace(tmp_path))
    second = build_vocabulary.fn(tokens, VocabularyConfig(min_count=1, subsample_threshold=1e-4), Workspace(tmp_path))
    assert second.digest != first.digest
    assert build_vocabulary.fn(tokens, VocabularyConfig(min_count=1), Workspace(tmp_path)).reused
