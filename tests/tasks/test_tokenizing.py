"""Options of the tokenizer in the stage: documents left out, sentences, phrases, pieces, languages, resuming."""

import importlib.util
import sys
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pytest

from storage.corpus.finished_batches import FinishedBatches
from storage.corpus.segments import Batch
from storage.corpus.tokens import read_tokens
from storage.corpus.trained_tokenizer import read_tokenizer
from storage.errors import SettingsError
from storage.layout import Workspace
from storage.stages import Manifest
from tasks import engine, tokenizing
from tasks.corpus import CorpusFacts, fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.text.options import TokenizerConfig
from tasks.text.pieces import Pieces
from tasks.tokens import TokensFacts, tokenize_corpus


def fetched(folder: Path, text: str) -> Manifest[CorpusFacts]:
    (folder / "a.txt").write_text(text, encoding="utf-8")
    return fetch_corpus.fn(CorpusConfig(path=str(folder / "a.txt")), Workspace(folder))


def tokenized(folder: Path, text: str, **settings: object) -> Manifest[TokensFacts]:
    return tokenize_corpus.fn(fetched(folder, text), TokenizerConfig.model_validate(settings), Workspace(folder))


def documents(tokens: Manifest[TokensFacts]) -> list[str]:
    found: dict[int, list[str]] = defaultdict(list)
    for batch in read_tokens(tokens.path):
        for document_id, words in zip(batch.document_ids.to_pylist(), batch.tokens.to_pylist(), strict=True):
            found[document_id] += words
    return [" ".join(words) for words in found.values()]


@pytest.mark.parametrize(
    ("settings", "expected", "dropped"),
    [
        ({}, ["one two three", "one two three", "hi", "a cat sat a dog ran"], {}),
        (
            {"min_characters": 5},
            ["one two three", "one two three", "a cat sat a dog ran"],
            {"shorter than 5 characters": 1},
        ),
        (
            {"duplicates": "exact"},
            ["one two three", "hi", "a cat sat a dog ran"],
            {"exact repetitions of an earlier document": 1},
        ),
        ({"sentences": True}, ["one two three", "one two three", "hi", "a cat sat", "a dog ran"], {}),
        ({"stop_words": ["a", "two"]}, ["one three", "one three", "hi", "cat sat dog ran"], {}),
    ],
)
def test_documents_are_chosen_split_and_cleaned(
    tmp_path: Path, settings: dict[str, object], expected: list[str], dropped: dict[str, int]
) -> None:
    text = "One two three\nONE  two three\nhi\nA cat sat. A dog ran.\n"
    tokens = tokenized(tmp_path, text, **settings)
    assert documents(tokens) == expected
    assert tokens.facts.dropped == dropped
    assert tokens.facts.documents == len(expected)


def test_other_languages_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "This is a sentence in English.\n이것은 한국어로 쓴 문장입니다.\n"
    with caplog.at_level("INFO"):
        assert documents(tokenized(tmp_path, text, languages=["ko"])) == ["이것은 한국어로 쓴 문장입니다"]
    assert "left out 1 document: in another language (en)" in caplog.text


def test_default_settings_keep_the_digest_of_earlier_versions() -> None:
    assert TokenizerConfig().identity == {"name": "unicode_words"}
    assert TokenizerConfig(nfkc=True).identity == {"name": "unicode_words", "nfkc": True}


def test_phrases_join_in_the_stage(tmp_path: Path) -> None:
    text = "new york times\nnew york city\nthe new york times\n" * 20 + "cat sat\nthe mat\n" * 30
    tokens = tokenized(tmp_path, text, phrases=2, phrase_threshold=0.1)
    assert documents(tokens)[:2] == ["new_york_times", "new_york_city"]
    assert sorted(path.name.split("-")[0] for path in tokens.path.iterdir()) == [
        "counts", "files.parquet", "manifest.json", "tokens",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["bpe", "unigram"])
def test_pieces_are_trained_on_the_corpus_and_kept_with_it(tmp_path: Path, name: str) -> None:
    tokens = tokenized(tmp_path, "Lowest newest, widest lower\n" * 50, name=name, pieces=100)
    content = read_tokenizer(tokens.path)
    assert content is not None
    words = pa.array([["lowest", "newest", "widest", "lower"]], pa.list_(pa.string()))
    assert documents(tokens)[0].split() == Pieces(content).cut(words).to_pylist()[0]


def test_a_grown_corpus_is_tokenized_as_a_whole_where_documents_depend_on_each_other(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    (tmp_path / "texts").mkdir()
    facts = []
    for number in range(2):
        (tmp_path / f"texts/{number}.txt").write_text(f"same text\nother {number}\n")
        corpus = fetch_corpus.fn(CorpusConfig(path=str(tmp_path / "texts")), workspace)
        tokens = tokenize_corpus.fn(corpus, TokenizerConfig(duplicates="exact"), workspace)
        facts.append((tokens.facts.new_files, tokens.facts.documents))
    assert facts == [(1, 2), (2, 3)]


@pytest.mark.parametrize(("name", "module"), [("chinese", "rjieba"), ("korean", "kiwipiepy"), ("bpe", "tokenizers")])
def test_a_missing_extra_stops_the_run_before_it_starts(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError, match=rf"tokenizer.name={name} needs {module}.*: pip install 'vecmill\["):
        tokenizing.check_tokenizer(TokenizerConfig.model_validate({"name": name}))


def test_text_without_spaces_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenized(tmp_path, "我来到北京清华大学\n")
    assert "set tokenizer.name=chinese" in caplog.text


def test_a_language_is_cut_in_processes_with_the_expected_time_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if importlib.util.find_spec("rjieba") is None:
        pytest.skip("rjieba is not installed: pip install vecmill[chinese]")
    monkeypatch.setattr(engine, "available_cores", lambda: 2)
    monkeypatch.setattr(tokenizing, "SLICE_BYTES", 1 << 20)
    corpus = fetched(tmp_path, "我来到北京清华大学 " * 50_000 + "\n" + "你好\n" * 140_000)
    config, workspace = TokenizerConfig(name="chinese"), Workspace(tmp_path)
    kept: list[int] = []
    write = FinishedBatches.write

    def killed(self: FinishedBatches, number: int, batch: Batch) -> None:
        if kept:
            raise KeyboardInterrupt
        kept.append(number)
        write(self, number, batch)

    monkeypatch.setattr(FinishedBatches, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        tokenize_corpus.fn(corpus, config, workspace)

    def resumed(self: FinishedBatches, number: int, batch: Batch) -> None:
        kept.append(number)
        write(self, number, batch)

    monkeypatch.setattr(FinishedBatches, "write", resumed)
    with caplog.at_level("INFO"):
        tokens = tokenize_corpus.fn(corpus, config, workspace)
    assert len(set(kept)) == len(kept) > 1
    assert "on each of 2 cores takes about" in caplog.text
    assert "resuming: 1 batches are finished" in caplog.text
    found = documents(tokens)
    assert len(found) == 140_001
    assert found[0] == "我 来到 北京 清华大学 " * 49_999 + "我 来到 北京 清华大学"
    assert set(found[1:]) == {"你好"}
