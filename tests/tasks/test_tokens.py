"""Tokenizing keeps documents apart, keeps their parts in order, and never cuts a token."""

from collections import defaultdict
from pathlib import Path

import pytest

from storage.corpus import documents as documents_module
from storage.corpus import segments
from storage.corpus.tokens import read_counts, read_tokens
from storage.layout import Workspace
from storage.stages import Manifest
from tasks import tokens as tokens_module
from tasks.corpus import CorpusFacts, fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.text.tokenizers import TokenizerConfig
from tasks.text.vocabulary import VocabularyConfig
from tasks.tokens import TokensFacts, tokenize_corpus
from tasks.vocabulary import build_vocabulary


def fetched(folder: Path, text: str) -> Manifest[CorpusFacts]:
    (folder / "a.txt").write_text(text)
    return fetch_corpus.fn(CorpusConfig(source="files", path=str(folder / "a.txt")), Workspace(folder))


def documents(tokens: Manifest[TokensFacts]) -> list[list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    for batch in read_tokens(tokens.path):
        for document_id, words in zip(batch.document_ids.to_pylist(), batch.tokens.to_pylist(), strict=True):
            found[document_id] += words
    return list(found.values())


def test_every_document_has_its_own_tokens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    corpus = fetched(tmp_path, "The cat's hat.\n!!!\nOne, two\n")
    with caplog.at_level("INFO"):
        tokens = tokenize_corpus.fn(corpus, TokenizerConfig(), Workspace(tmp_path))
    assert documents(tokens) == [["the", "cat's", "hat"], [], ["one", "two"]]
    assert tokens.facts == TokensFacts(documents=3, tokens=5, files=1, new_files=1)
    assert "5 tokens in 3 documents" in caplog.text


def test_a_long_line_has_the_same_tokens_as_if_it_were_not_cut(tmp_path: Path) -> None:
    words = [f"wörd{number}" for number in range(700_000)]
    tokens = tokenize_corpus.fn(
        fetched(tmp_path, " ".join(words) + "\nend"), TokenizerConfig(name="whitespace"), Workspace(tmp_path)
    )
    long, end = documents(tokens)
    assert long == words
    assert end == ["end"]
    assert sum(len(batch.parts) for batch in read_tokens(tokens.path)) > 3


def test_another_tokenizer_is_another_stage_and_the_same_is_reused(tmp_path: Path) -> None:
    corpus = fetched(tmp_path, "One, two\n")
    first = tokenize_corpus.fn(corpus, TokenizerConfig(), Workspace(tmp_path))
    second = tokenize_corpus.fn(corpus, TokenizerConfig(name="basic_english"), Workspace(tmp_path))
    assert documents(second) == [["one", ",", "two"]]
    assert second.path != first.path
    assert tokenize_corpus.fn(corpus, TokenizerConfig(), Workspace(tmp_path)).reused


def test_counts_in_parts_on_disk_are_those_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(f"word{number % 7} word{number} é" for number in range(3_000))
    built = []
    for most in (tokens_module.MOST_DISTINCT, 100):
        monkeypatch.setattr(tokens_module, "MOST_DISTINCT", most)
        monkeypatch.setattr(documents_module, "GROUP_ROWS", 200)
        monkeypatch.setattr(segments, "GROUP_ROWS", 200)
        folder = tmp_path / str(most)
        folder.mkdir()
        tokens = tokenize_corpus.fn(fetched(folder, text), TokenizerConfig(), Workspace(folder))
        words = build_vocabulary.fn(tokens, VocabularyConfig(min_count=1), Workspace(folder))
        assert not list(tokens.path.glob("unsummed-*"))
        ((names, counts),) = read_counts(tokens.path)
        built.append((dict(zip(names.to_pylist(), counts.tolist(), strict=True)), words.digest, words.files))
        assert counts.tolist() == sorted(counts.tolist(), reverse=True)
    assert built[0] == built[1]
    assert len(built[0][0]) == 3_001
