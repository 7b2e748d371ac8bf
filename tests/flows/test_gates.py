"""The default gates of movie-reviews let honest training pass and refuse vectors that learnt nothing."""

from pathlib import Path

import pytest

from benchmarks.gates import shuffled_documents
from flows.runs.result import BuildResult
from storage.errors import GateRefusedError
from storage.layout import Workspace
from tasks.corpus import fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.text.tokenizers import TokenizerConfig
from tasks.tokens import tokenize_corpus
from tests.flows import builds

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("prefect_server")]


def build(workspace: Path, *settings: str) -> BuildResult:
    return builds.build(workspace, "report.enabled=false", *settings, deployment="movie-reviews")


def test_an_honest_release_passes_and_one_of_shuffled_words_is_refused(tmp_path: Path) -> None:
    honest = build(tmp_path)
    assert honest.published
    assert all(verdict["passed"] for verdict in honest.verdicts)
    assert len(honest.verdicts) == 4

    corpus = fetch_corpus.fn(CorpusConfig(), Workspace(tmp_path))
    tokens = tokenize_corpus.fn(corpus, TokenizerConfig(), Workspace(tmp_path))
    shuffled = tmp_path / "shuffled.txt"
    shuffled.write_text("\n".join(shuffled_documents(tokens, seed=0)), encoding="utf-8")
    with pytest.raises(GateRefusedError, match=r"wordsim353 is .*below the minimum 0\.3") as refusal:
        build(tmp_path, f"corpus.path={shuffled}", "tokenizer.name=whitespace")
    result = refusal.value.result
    assert isinstance(result, BuildResult)
    assert not any(verdict["passed"] for verdict in result.verdicts)
    assert "another corpus" in result.verdicts[0]["note"]
