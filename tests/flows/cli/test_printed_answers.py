"""What the commands print for people: suggestions, tables on 80 columns, the Python to try, the columns read."""

import contextlib
import io
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from flows.cli import console
from flows.cli.app import main
from flows.cli.summary_views import sql_to_try
from storage.layout import Workspace
from storage.releases.publishing import publish_release
from storage.run_history import write_run
from tests.flows.cli.test_table_commands import Command
from tests.storage.sample_releases import content
from tests.storage.test_run_history import run_row

# Real words, and some that need escaping in SQL or in Python.
WORDS = ["terrible", "terribly", "film", "it's", 'a"b', "back\\slash", "new york", "{x}", *(f"w{n}" for n in range(60))]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two versions of `news`, one of `other`, and the history of five runs."""
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    for table, seed in (("news", 1), ("news", 2), ("other", 3)):
        publish_release(workspace, table, content(WORDS, seed=seed))
    for week in range(5):
        write_run(workspace, run_row(week))
    return workspace


@pytest.fixture
def vecmill(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setenv("VECMILL_WORKSPACE", str(workspace.root))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vecmill", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_a_mistyped_word_suggests_the_word_that_was_meant(vecmill: Command) -> None:
    code, _, err = vecmill("nearest", "news", "terible")
    assert code == 1
    assert err == "error: 'news' has no word 'terible'; did you mean terrible, terribly?\n"


@pytest.mark.parametrize("command", ["diff news 1 2 -k 3", "compare news other", "runs news"])
def test_a_table_fits_80_columns_and_nothing_is_cut(
    vecmill: Command, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(console.output, "_width", 400)
    _, wide, _ = vecmill(*command.split())
    monkeypatch.setattr(console.output, "_width", 80)
    code, narrow, _ = vecmill(*command.split())
    assert code == 0
    assert max(map(cell_len, narrow.splitlines())) <= 80
    assert "…" not in narrow
    assert set(wide.split()) <= set(narrow.split())


@pytest.mark.parametrize("word", WORDS[:8])
def test_the_python_to_try_runs_for_every_word(workspace: Workspace, word: str) -> None:
    program = sql_to_try(str(workspace.table_file("news")), word)
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        exec(compile(program, "to try", "exec"), {})
    assert "similarity" in shown.getvalue()


def test_the_columns_of_a_gold_file_are_named_and_printed(vecmill: Command, tmp_path: Path) -> None:
    gold = tmp_path / "own.csv"
    rows = [f"{n},w{n},w{n + 1},{n / 10}" for n in range(40)]
    gold.write_text("\n".join(["id,word1,word2,score", *rows]) + "\n", encoding="utf-8")
    code, out, err = vecmill("evaluate", "news", "--reference", "none", "--gold", f"{gold}:word1,word2,score")
    assert code == 0, err
    assert any(line.startswith("own") and "word1" in line and "score" in line for line in out.splitlines()), out
    code, _, err = vecmill("evaluate", "news", "--reference", "none", "--gold", f"{gold}:word1,word3,score")
    assert code in (1, 2)
    assert "word3" in err


def test_an_import_leaves_out_empty_words_only_when_asked(vecmill: Command, tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_text("the 1 0 1\n 1 0 1\n\u00a0 1 1 0\nnew york 0 1 1\nof 0 1 0\n", encoding="utf-8")
    code, _, err = vecmill("import", str(path), "--table", "glove")
    assert code == 1
    assert "--skip-bad-rows" in err
    code, out, err = vecmill("import", str(path), "--table", "glove", "--skip-bad-rows")
    assert code == 0, err
    assert "4 words x 3" in out
    assert "(glove, 1 row skipped)" in out


def test_import_offers_the_formats_that_it_reads(vecmill: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 200)
    offered = vecmill("import", "--help")[1]
    assert "word2vec-binary" in offered
    assert "projector" not in offered
    assert "gensim" not in offered
