"""The commands for what is published, as people and as programs call them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.cli import console
from flows.cli.app import main
from storage.layout import Workspace
from storage.releases.publishing import current_release, keep_candidate, publish_release
from storage.releases.schema import GateRow
from storage.stages import complete_stage
from tests.flows.cli.test_cli import start_training
from tests.storage.releases.test_housekeeping import age
from tests.storage.sample_releases import content
from tests.storage.sample_stages import SampleFacts, sample_stage

ESCAPE = "\x1b[31mred"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two versions of `news` and a refused candidate; one word of each would colour a terminal."""
    workspace = Workspace(tmp_path_factory.mktemp("published"))
    for seed in (1, 2):
        publish_release(workspace, "news", content([ESCAPE, *(f"word{n}" for n in range(150))], seed=seed))
    refused = content(seed=3, model_digest="refused")
    gates = [GateRow(metric="simlex999", value=0.1, minimum=0.3, passed=False, note="simlex999 0.1 is below 0.3")]
    keep_candidate(workspace, "news", replace(refused, gates=gates))
    return workspace


@pytest.fixture
def workspace(published: Workspace, tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "my workspace")
    shutil.copytree(published.root, workspace.root, symlinks=True)
    return workspace


@pytest.fixture
def vecmill(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command in this process; returns exit code, stdout and stderr."""
    monkeypatch.setenv("VECMILL_WORKSPACE", str(workspace.root))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vecmill", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def answer(said: tuple[int, str, str]) -> Any:
    assert said[0] == 0, said
    return json.loads(said[1])


def version_of(workspace: Workspace) -> int | None:
    release = current_release(workspace, "news")
    return release.version if release else None


def test_releases_are_listed_with_metrics_and_the_current_one(vecmill: Command) -> None:
    listed = answer(vecmill("releases", "news", "--json"))
    assert [(line["version"], line["current"], line["gates_passed"]) for line in listed] == [
        (1, False, True),
        (2, True, True),
        (None, False, False),
    ]
    code, shown, _ = vecmill("releases", "news")
    assert code == 0
    assert "2 *" in shown
    assert "0.5000" in shown
    assert "candidate refused" in shown
    assert "refused by simlex999" in shown


def test_a_rollback_changes_the_current_release(vecmill: Command, workspace: Workspace) -> None:
    code, shown, _ = vecmill("rollback", "news", "1")
    assert (code, shown) == (0, "rolled back news to version 1\n")
    assert version_of(workspace) == 1
    assert answer(vecmill("rollback", "news", "2", "--json")) == {"table": "news", "version": 2}


def test_a_tag_is_accepted_as_a_version_and_keeps_its_release(vecmill: Command, workspace: Workspace) -> None:
    assert answer(vecmill("tag", "news", "1", "stable", "--json")) == {"table": "news", "version": 1, "tag": "stable"}
    assert [line["tags"] for line in answer(vecmill("releases", "news", "--json"))] == [["stable"], [], []]
    assert "1 (stable)" in vecmill("releases", "news")[1]
    one = answer(vecmill("nearest", "news", "word7", "--version", "1", "--json"))
    assert answer(vecmill("nearest", "news", "word7", "--version", "stable", "--json")) == one
    assert answer(vecmill("nearest", "news", "word7", "--json")) != one
    assert answer(vecmill("sql", "news", "select version from release", "--version", "stable", "--json")) == [
        {"version": 1}
    ]
    by_tag, by_number = (answer(vecmill("diff", "news", older, "2", "--json")) for older in ("stable", "1"))
    assert by_tag == by_number | {"older": "stable"}
    target = workspace.root / "out.vec"
    exported = vecmill("export", "news", "--format", "numpy", "-o", str(target), "--version", "stable", "--json")
    assert answer(exported)["version"] == 1
    assert answer(vecmill("rollback", "news", "stable", "--json"))["version"] == 1
    vecmill("rollback", "news", "2")
    assert answer(vecmill("prune", "news", "--keep", "1", "--json"))["removed"] == []
    assert [line["problem"] for line in answer(vecmill("verify", "news", "--json"))] == [None] * 4
    assert vecmill("tag", "news", "2", "stable") == (0, "version 2 of news is tagged stable\n", "")
    assert answer(vecmill("tag", "news", "2", "stable", "--remove", "--json"))["tag"] is None
    assert answer(vecmill("prune", "news", "--keep", "1", "--json"))["removed"] == ["v1"]


def test_a_damaged_tag_file_is_named(vecmill: Command, workspace: Workspace) -> None:
    (workspace.releases_folder("news") / "tags.json").write_text('{"stable": "one"}')
    code, _, said = vecmill("nearest", "news", "word7", "--version", "stable")
    assert code == 1
    assert said.startswith("error: ")
    assert "tags.json is damaged" in said


def test_words_like_several_are_those_of_sql(vecmill: Command) -> None:
    called = "from most_similar(['word3', 'word5'], ['word8'], k := 4, max_rank := 90)"
    found = answer(
        vecmill("similar", "news", "word3", "WORD5", "--minus", "word8", "-k", "4", "--max-rank", "90", "--json")
    )
    expected = answer(vecmill("sql", "news", called, "--json"))
    assert [line["word"] for line in found] == [line["word"] for line in expected]
    assert [line["similarity"] for line in found] == pytest.approx([line["similarity"] for line in expected], abs=1e-5)
    found = answer(vecmill("analogy", "news", "word3", "word5", "word8", "-k", "2", "--json"))
    expected = answer(vecmill("sql", "news", "from analogy('word3', 'word5', 'word8', k := 2)", "--json"))
    assert [line["word"] for line in found] == [line["word"] for line in expected]
    found = answer(vecmill("nearest", "news", "word3", "--max-rank", "20", "-k", "500", "--json"))
    assert {line["rank"] for line in found} == set(range(1, 21)) - {5}
    assert vecmill("analogy", "news", "word3", "word5", "word8")[1].startswith("word")


def test_a_candidate_is_promoted_only_on_purpose(vecmill: Command, workspace: Workspace) -> None:
    code, _, said = vecmill("promote", "news", "ref")
    assert code == 2
    assert "simlex999 0.1 is below 0.3; use --yes to publish anyway" in said
    assert version_of(workspace) == 2
    assert answer(vecmill("promote", "news", "ref", "--yes", "--json")) == {"table": "news", "version": 3}
    assert version_of(workspace) == 3


def test_pruning_reports_what_it_removed(vecmill: Command, workspace: Workspace) -> None:
    vecmill("rollback", "news", "1")
    assert answer(vecmill("prune", "news", "--keep", "1", "--json")) == {"table": "news", "removed": []}
    vecmill("rollback", "news", "2")
    code, shown, _ = vecmill("prune", "news", "--keep", "1", "--candidates")
    assert (code, shown) == (0, "removed v1, refused\n")
    assert version_of(workspace) == 2


def test_verify_ends_with_1_when_something_is_wrong(vecmill: Command, workspace: Workspace) -> None:
    code, shown, _ = vecmill("verify", "news")
    assert code == 0
    assert shown.count("ok") == 4
    workspace.release_file("news", 1).write_bytes(b"short")
    code, shown, _ = vecmill("verify", "news")
    assert code == 1
    assert "v000001.duckdb was changed after it was written" in " ".join(shown.split())
    code, shown, _ = vecmill("verify", "news", "--json")
    assert code == 1
    assert [line["name"] for line in json.loads(shown) if line["problem"]] == ["v1"]


def test_a_diff_shows_metrics_and_the_words_that_changed_most(vecmill: Command) -> None:
    found = answer(vecmill("diff", "news", "1", "2", "--words", "20", "-k", "3", "--json"))
    assert (found["shared_words"], len(found["drift"])) == (151, 20)
    code, shown, _ = vecmill("diff", "news", "1", "refused", "-k", "3")
    assert code == 0
    assert "150 shared words, 50 added, 1 removed" in shown
    assert "wordsim353" in shown


def test_no_neighbors_are_no_rows(vecmill: Command) -> None:
    assert answer(vecmill("nearest", "news", "word3", "-k", "0", "--json")) == []
    assert len(answer(vecmill("nearest", "news", "word3", "-k", "1000001", "--json"))) == 150
    for option in ("-k", "--words"):
        found = answer(vecmill("diff", "news", "1", "2", option, "0", "--json"))
        assert (found["shared_words"], found["drift"], found["mean_overlap"]) == (151, [], None)
        assert vecmill("diff", "news", "1", "2", option, "0")[0] == 0


@pytest.mark.parametrize("number", ["-1", "2.5", "nan", "many", "9" * 40])
@pytest.mark.parametrize(
    "command",
    [("nearest", "news", "word3", "-k"), ("diff", "news", "1", "2", "-k"), ("diff", "news", "1", "2", "--words")],
)
def test_a_number_without_a_meaning_is_a_usage_error(vecmill: Command, command: tuple[str, ...], number: str) -> None:
    code, shown, said = vecmill(*command, number)
    assert (code, shown) == (2, "")
    assert "Invalid value" in said
    assert command[-1] in said
    assert "Traceback" not in said


def test_sql_is_answered_as_a_table_and_as_json(vecmill: Command) -> None:
    query = "select word, count, vector, null as nothing, 0.1::float as third from word_vectors where rank = 2"
    (row,) = answer(vecmill("sql", "news", query, "--json"))
    assert (row["word"], row["count"], row["nothing"], len(row["vector"])) == ("word0", 1500, None, 16)
    code, shown, _ = vecmill("sql", "news", query)
    assert code == 0
    assert "…]" in shown
    assert "NULL" in shown
    assert "0.1" in shown
    code, shown, said = vecmill("sql", "news", "from word_vectors")
    assert shown.count("\n") == 101
    assert "100 of 151 rows" in said
    code, _, said = vecmill(
        "sql", "news", "select sum(a.i) from range(10000000) a(i), range(10000000)", "--timeout", "0.2"
    )
    assert code == 1
    assert "no answer within 0.2 s; see --timeout" in said
    code, _, said = vecmill("sql", "news", "delete from word_vectors_v2")
    assert code == 1
    assert "read-only: only SELECT" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("sql", "news", "select word from word_vectors limit 2"),
        ("nearest", "news", "word3", "-k", "150"),
        ("diff", "news", "1", "2"),
    ],
)
def test_words_cannot_steer_the_terminal(vecmill: Command, arguments: tuple[str, ...]) -> None:
    code, shown, _ = vecmill(*arguments)
    assert code == 0
    assert "\x1b" not in shown


def test_clean_reports_what_it_removes(vecmill: Command, workspace: Workspace) -> None:
    made = complete_stage(
        workspace, sample_stage("tokens"), lambda folder: SampleFacts(rows=(folder / "a").write_text("x"))
    )
    for path in [*made.path.iterdir(), made.path]:
        os.utime(path, (0, 0))
    code, shown, _ = vecmill("clean", "--dry-run")
    assert code == 0
    assert "would remove 1 folder," in shown
    (removed,) = answer(vecmill("clean", "--keep-days", "0", "--json"))
    assert (removed["kind"], removed["path"]) == ("tokens", str(made.path))
    assert not made.path.exists()
    assert vecmill("clean")[1] == "removed 0 folders, 0.0 MB\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["rollback", "news", "7"], 1, "no release or candidate '7'"),
        (["rollback", "news", "one"], 1, "no release or candidate 'one'"),
        (["rollback", "news", "refused"], 1, "is a refused candidate"),
        (["tag", "news", "7", "stable"], 1, "no release or candidate '7'"),
        (["tag", "news", "1", "2"], 2, "is not a valid tag"),
        (["tag", "news", "1", "old", "--remove"], 1, "has no tag 'old'"),
        (["nearest", "news", "word1", "--version", "9"], 1, "no release or candidate '9'"),
        (["similar", "news", "word1", "wrod2"], 1, "has no word 'wrod2'; did you mean"),
        (["analogy", "news", "word1", "word2", "quux"], 1, "has no word 'quux'"),
        (["rollback", "olds", "1"], 1, "no table 'olds'"),
        (["promote", "news", "nothing", "--yes"], 1, "no release or candidate 'nothing'"),
        (["promote", "../news", "x", "--yes"], 2, "is not a valid table name"),
        (["prune", "news"], 2, "Missing option"),
        (["prune", "news", "--keep", "0"], 2, "Invalid value"),
        (["verify", "olds"], 1, "no table 'olds'"),
        (["diff", "news", "1", "9"], 1, "no release or candidate '9'"),
        (["sql", "olds", "select 1"], 1, "no table 'olds'"),
        (["sql", "news", "selekt 1"], 1, "DuckDB cannot run the query"),
        (["clean", "--keep-days", "-1"], 2, "Invalid value"),
    ],
)
def test_errors_are_named_and_set_the_exit_code(
    vecmill: Command, workspace: Workspace, arguments: list[str], code: int, message: str
) -> None:
    ended, shown, said = vecmill(*arguments)
    assert (ended, shown) == (code, "")
    assert message in " ".join(said.split())
    assert version_of(workspace) == 2


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (
            "build mo",
            {
                "movie-reviews",
                "movie-reviews-cbow",
                "movie-reviews-distilled",
                "movie-reviews-documents",
                "movie-reviews-fasttext",
                "movie-reviews-fused",
                "movie-reviews-glove",
            },
        ),
        ("nearest ", {"news"}),
        ("rollback news ", {"1", "2"}),
        ("promote news r", {"refused"}),
        ("diff news 1 ", {"1", "2", "refused"}),
        ("rollback ../news ", set()),
        ("verify x", set()),
        ("roll", {"rollback"}),
    ],
)
def test_the_shell_completes_deployments_tables_and_versions(
    workspace: Workspace, typed: str, offered: set[str]
) -> None:
    words = typed.split(" ")
    completed = subprocess.run(
        [Path(sys.executable).with_name("vecmill")],
        env={
            **os.environ,
            "VECMILL_WORKSPACE": str(workspace.root),
            "_VECMILL_COMPLETE": "complete_bash",
            "COMP_WORDS": "\n".join(["vecmill", *words]),
            "COMP_CWORD": str(len(words)),
        },
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(completed.stdout.split()) == offered, completed.stderr
    assert completed.stderr == ""


@pytest.mark.long
def test_cleaning_takes_nothing_from_a_build_at_work(
    news_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    building = start_training(news_file, tmp_path)
    monkeypatch.setattr(sys, "argv", ["vecmill", "clean", "--keep-days", "0", "--json"])
    monkeypatch.setenv("VECMILL_WORKSPACE", str(tmp_path / "workspace"))
    try:
        for path in (tmp_path / "workspace").rglob("*"):
            if path.is_dir():
                os.utime(path, (0, 0))  # as after a very long training
        with pytest.raises(SystemExit):
            main()
        assert json.loads(capsys.readouterr().out) == []
    finally:
        os.killpg(building.pid, signal.SIGKILL)
        building.communicate()
    age(Workspace(tmp_path / "workspace"), days=1)
    with pytest.raises(SystemExit):
        main()
    removed = json.loads(capsys.readouterr().out)
    stages = ["cooccurrences", "corpora", "encoded", "models", "tokens", "vocabularies"]
    assert [folder["kind"] for folder in removed] == stages


def test_a_word_in_other_capitals_is_answered_and_said(vecmill: Command) -> None:
    code, out, err = vecmill("nearest", "news", "WORD7", "--json")
    assert code == 0
    assert json.loads(out) == answer(vecmill("nearest", "news", "word7", "--json"))
    assert "news has no word 'WORD7'; showing neighbours of 'word7'" in err


@pytest.mark.parametrize(("asked", "suggested"), [("wrod12", "word12"), ("wordd3", "word3"), ("Wrod149", "word149")])
def test_a_mistyped_word_gets_suggestions(vecmill: Command, asked: str, suggested: str) -> None:
    code, _, err = vecmill("nearest", "news", asked)
    assert code == 1
    hint = err.partition("did you mean ")[2]
    assert hint.split(",")[0].rstrip("?\n") == suggested
    assert "did you mean" not in vecmill("nearest", "news", "quartz")[2]


def test_the_doctor_creates_nothing(vecmill: Command, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert vecmill("doctor", "--workspace", str(tmp_path / "not there" / "yet"))[0] == 0
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("command", ["releases news", "nearest news word3"])
def test_no_number_is_cut_however_narrow_the_terminal(
    vecmill: Command, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    number = re.compile(r"(?<![\w.])-?[\d,]+\.\d+(?![\w.])")
    monkeypatch.setattr(console.output, "_width", 500)
    whole = set(number.findall(vecmill(*command.split())[1]))
    assert whole
    for width in (20, 40, 60, 80, 120, 200):
        monkeypatch.setattr(console.output, "_width", width)
        narrow = vecmill(*command.split())[1]
        assert whole <= set(number.findall(narrow)), width
        assert "…" not in narrow
