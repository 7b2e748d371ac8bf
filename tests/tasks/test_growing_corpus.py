"""A corpus that grows, shrinks or changes costs only the work on what is new, with the result of a first run."""

import logging
import random
import shutil
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from storage.corpus import known_rows
from storage.corpus.encoded import NAME as ENCODED
from storage.corpus.segments import read_index
from storage.corpus.vocabularies import FILE as VOCABULARY
from storage.layout import Workspace
from storage.stages import Manifest
from tasks.corpus import CorpusFacts, fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.text.tokenizers import TokenizerConfig
from tasks.text.vocabulary import VocabularyConfig
from tasks.tokens import TokensFacts, tokenize_corpus
from tasks.vocabulary import build_vocabulary, encode_corpus

TEXTS = ("the cat\nand the dog\n", "a dog and a cat\n", "\n \n", "one cat\n\ntwo dogs, one the cat\n", "the end\n" * 9)


def text_stages(folder: Path, workspace: Path) -> tuple[Manifest[CorpusFacts], Manifest[TokensFacts]]:
    place = Workspace(workspace)
    corpus = fetch_corpus.fn(CorpusConfig(source="files", path=str(folder)), place)
    return corpus, tokenize_corpus.fn(corpus, TokenizerConfig(), place)


def results(tokens: Manifest[TokensFacts], workspace: Path) -> tuple[bytes, bytes]:
    """The vocabulary and the encoded corpus, as bytes."""
    place = Workspace(workspace)
    vocabulary = build_vocabulary.fn(tokens, VocabularyConfig(min_count=1), place)
    encoded = encode_corpus.fn(tokens, vocabulary, place)
    return (vocabulary.path / VOCABULARY).read_bytes(), (encoded.path / f"{ENCODED}-00000.parquet").read_bytes()


def write(folder: Path, **files: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)


def check_like_a_first_run(folder: Path, grown: Manifest[TokensFacts], workspace: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "first run"
    shutil.rmtree(elsewhere, ignore_errors=True)
    _, first = text_stages(folder, elsewhere)
    assert first.digest == grown.digest
    assert results(grown, workspace) == results(first, elsewhere)
    counted = (
        duckdb.sql(f"select count(*), sum(len(tokens)) from '{manifest.path}/tokens-*.parquet'").fetchone()
        for manifest in (grown, first)
    )
    assert next(counted) == next(counted)


def test_only_new_files_are_read_and_tokenized(tmp_path: Path) -> None:
    folder, workspace = tmp_path / "texts", tmp_path / "workspace"
    write(folder, b=TEXTS[0], d=TEXTS[1])
    first_corpus, first_tokens = text_stages(folder, workspace)
    assert (first_corpus.facts.new_files, first_tokens.facts.new_files) == (2, 2)
    write(folder, a=TEXTS[3], c=TEXTS[4])
    corpus, tokens = text_stages(folder, workspace)
    assert (corpus.facts.files, corpus.facts.new_files, tokens.facts.new_files) == (4, 2, 2)
    (old,) = first_tokens.path.glob("tokens-*.parquet")
    assert (tokens.path / old.name).samefile(old)  # a link, not a copy
    assert {rows.name: rows.segment for rows in read_index(tokens.path)} == {
        "a.txt": tokens.digest, "b.txt": first_tokens.digest, "c.txt": tokens.digest, "d.txt": first_tokens.digest,
    }  # fmt: skip
    check_like_a_first_run(folder, tokens, workspace, tmp_path)


def test_a_stage_holds_all_it_needs_when_those_before_it_are_cleaned_away(tmp_path: Path) -> None:
    folder, workspace = tmp_path / "texts", tmp_path / "workspace"
    write(folder, a=TEXTS[0])
    earlier = text_stages(folder, workspace)
    write(folder, b=TEXTS[1])
    later = text_stages(folder, workspace)
    for manifest in earlier:
        shutil.rmtree(manifest.path)
    assert [manifest.reused for manifest in text_stages(folder, workspace)] == [True, True]
    check_like_a_first_run(folder, later[1], workspace, tmp_path)


def test_a_removed_and_a_changed_file_leave_nothing_behind(tmp_path: Path) -> None:
    folder, workspace = tmp_path / "texts", tmp_path / "workspace"
    write(folder, a=TEXTS[0], b=TEXTS[1], c="secret words\n", d=TEXTS[3])
    text_stages(folder, workspace)
    (folder / "c.txt").unlink()
    write(folder, b="another dog\n")
    corpus, tokens = text_stages(folder, workspace)
    assert (corpus.facts.new_files, tokens.facts.new_files) == (1, 1)  # the others are copied
    found = duckdb.sql(f"select distinct unnest(tokens) from '{tokens.path}/tokens-*.parquet'").fetchall()
    assert ("another",) in found
    assert ("secret",) not in found
    check_like_a_first_run(folder, tokens, workspace, tmp_path)


def test_a_file_that_was_renamed_or_copied_is_not_read_again(tmp_path: Path) -> None:
    folder, workspace = tmp_path / "texts", tmp_path / "workspace"
    write(folder, a=TEXTS[0], b=TEXTS[1])
    text_stages(folder, workspace)
    (folder / "a.txt").rename(folder / "z.txt")
    shutil.copy(folder / "b.txt", folder / "c.txt")
    corpus, tokens = text_stages(folder, workspace)
    assert (corpus.facts.files, corpus.facts.new_files) == (3, 1)  # the copy needs separate rows
    check_like_a_first_run(folder, tokens, workspace, tmp_path)


def test_the_same_bytes_under_another_extension_are_another_text(tmp_path: Path) -> None:
    folder, workspace = tmp_path / "texts", tmp_path / "workspace"
    write(folder, a="text\none\n")
    text_stages(folder, workspace)
    (folder / "a.txt").rename(folder / "a.csv")
    corpus, tokens = text_stages(folder, workspace)
    assert corpus.facts.new_files == 1
    assert tokens.facts.tokens == 1


def test_other_settings_of_the_corpus_or_the_tokenizer_make_all_rows_again(tmp_path: Path) -> None:
    folder, workspace = tmp_path / "texts", Workspace(tmp_path / "workspace")
    write(folder, a=TEXTS[0])
    text_stages(folder, workspace.root)
    write(folder, b=TEXTS[1])
    replaced = fetch_corpus.fn(CorpusConfig(source="files", path=str(folder), errors="replace"), workspace)
    assert replaced.facts.new_files == 2
    assert tokenize_corpus.fn(replaced, TokenizerConfig(), workspace).facts.new_files == 2
    corpus, _ = text_stages(folder, workspace.root)
    assert tokenize_corpus.fn(corpus, TokenizerConfig(name="whitespace"), workspace).facts.new_files == 2


@pytest.mark.parametrize("damaged", ["tokens-*.parquet", "counts-*.parquet", "files.parquet"])
def test_damaged_rows_are_made_again(tmp_path: Path, damaged: str, caplog: pytest.LogCaptureFixture) -> None:
    folder, workspace = tmp_path / "texts", tmp_path / "workspace"
    write(folder, a=TEXTS[0])
    _, first = text_stages(folder, workspace)
    (path,) = first.path.glob(damaged)
    path.write_bytes(path.read_bytes()[:-9] + b"\0" * 9)
    write(folder, b=TEXTS[1])
    with caplog.at_level(logging.WARNING):
        _, tokens = text_stages(folder, workspace)
    assert tokens.facts.new_files == 2
    check_like_a_first_run(folder, tokens, workspace, tmp_path)


def test_a_disk_without_links_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(source: Path, target: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_link)
    folder, workspace = tmp_path / "texts", tmp_path / "workspace"
    write(folder, a=TEXTS[0])
    text_stages(folder, workspace)
    write(folder, b=TEXTS[1])
    _, tokens = text_stages(folder, workspace)
    assert tokens.facts.new_files == 1
    check_like_a_first_run(folder, tokens, workspace, tmp_path)


def test_many_small_segments_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_rows, "MOST_LINKED", 3)
    folder, workspace = tmp_path / "texts", tmp_path / "workspace"
    for number in range(8):
        write(folder, **{f"{number}": f"{TEXTS[number % 4]} word{number}\n" * (number + 1)})
        _, tokens = text_stages(folder, workspace)
        assert tokens.facts.new_files == 1
        assert len(list(tokens.path.glob("tokens-*.parquet"))) <= 4
    check_like_a_first_run(folder, tokens, workspace, tmp_path)


def test_a_table_of_parquet_csv_and_json_files_grows_too(tmp_path: Path) -> None:
    folder, workspace = tmp_path / "table", tmp_path / "workspace"
    folder.mkdir()
    pq.write_table(pa.table({"text": ["the cat", "a dog"]}), folder / "day=1.parquet")
    (folder / "day=2.csv").write_text("id,text\n1,the dog\n")
    text_stages(folder, workspace)
    pq.write_table(pa.table({"text": ["new cat"]}), folder / "day=3.parquet")
    (folder / "day=4.jsonl").write_text('{"text": "new dog"}\n')
    corpus, tokens = text_stages(folder, workspace)
    assert (corpus.facts.documents, corpus.facts.new_files, tokens.facts.tokens) == (5, 2, 10)
    check_like_a_first_run(folder, tokens, workspace, tmp_path)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(TEXTS), min_size=1), min_size=2, max_size=4
    ),
    seed=st.integers(0, 9),
)
@example(
    # The third corpus is the first, whose tokens were removed; the second one's tokens link to them.
    steps=[
        {"a": TEXTS[0], "b": TEXTS[0]},
        {"a": TEXTS[0], "b": TEXTS[0], "d": TEXTS[1]},
        {"a": TEXTS[0], "b": TEXTS[0]},
    ],
    seed=1,
)
def test_whatever_comes_and_goes_the_result_is_that_of_a_first_run(
    tmp_path: Path, steps: list[dict[str, str]], seed: int
) -> None:
    folder, workspace = tmp_path / "texts", tmp_path / "workspace"
    shutil.rmtree(workspace, ignore_errors=True)
    for step in steps:
        shutil.rmtree(folder, ignore_errors=True)
        write(folder, **step, always="some words\n")
        _, tokens = text_stages(folder, workspace)
        stages = sorted((workspace / "tokens").glob("[0-9a-f]*"))
        if random.Random(seed).random() < 0.3 and len(stages) > 1:
            shutil.rmtree(random.Random(seed).choice([stage for stage in stages if stage != tokens.path]))
    check_like_a_first_run(folder, tokens, workspace, tmp_path)
