"""The benchmark of the model families on a small text."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.families import measure_family, write_page


def test_glove_is_trained_and_its_row_written(news_file: Path, tmp_path: Path) -> None:
    row = measure_family("glove", news_file, tmp_path)
    assert row.seconds > 0
    assert row.megabytes > 0
    page = write_page("news", [row])
    assert page.splitlines()[-1].startswith(f"| glove | {row.epochs} | ")
    assert f" {row.quality['simlex999']:.3f} | " in page
    assert page.splitlines()[-1].endswith(f" | {row.commit} |")


@pytest.mark.parametrize("family", ["elmo"])
def test_an_unknown_family_is_refused(family: str) -> None:
    result = CliRunner().invoke(app, ["families", "--family", family])
    assert result.exit_code == 2
