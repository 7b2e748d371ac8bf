"""`vecmill corpus` for people and for programs."""

import json
from pathlib import Path

import pytest

from flows.cli.app import main


def called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["vecmill", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    written = capsys.readouterr()
    return int(str(ended.value.code or 0)), written.out, written.err


def test_a_file_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("one two\none two\nthree\n")
    command = ["corpus", str(tmp_path / "a.txt"), "--workspace", str(tmp_path / "w")]
    code, out, err = called(monkeypatch, capsys, *command)
    assert code == 0
    assert "3, 1 of them repeat an earlier one" in out
    assert "warning: 33.3% of the documents" in " ".join(err.split())
    code, out, _ = called(monkeypatch, capsys, *command, "--set", "tokenizer.duplicates=exact", "--json")
    found = json.loads(out.splitlines()[-1])
    assert (code, found["documents"], found["tokens"], found["distinct_words"]) == (0, 3, 3, 3)


def test_what_cannot_be_described_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = called(monkeypatch, capsys, "corpus", "nosuch.txt", "--workspace", str(tmp_path / "w"))
    assert code == 1
    assert "nosuch.txt" in err
    assert err.startswith("error:")
