"""The files that a killed publish leaves show where the kill hit."""

from pathlib import Path

import pytest

from benchmarks import faults
from benchmarks.faults import moment_of_death
from storage.layout import Workspace
from storage.releases import publishing as releases
from storage.releases.ledger import staging_folder, write_ledger
from storage.releases.publishing import publish_release
from tests.storage.sample_releases import content


class KilledError(BaseException):
    """Ends a publish where a kill would; clean-up is kept from running."""


@pytest.mark.parametrize(
    ("step", "moment"),
    [
        ("write_release_file", faults.SETTLING),
        ("check_release_file", faults.WRITING),
        ("make_current", faults.MOVING),
        ("write_ledger", faults.NOTING),
    ],
)
def test_the_moment_of_a_kill_is_identified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, moment: str
) -> None:
    workspace = Workspace(tmp_path)
    publish_release(workspace, "news", content())
    assert moment_of_death(workspace, "news") == faults.BETWEEN

    def killed(*arguments: object) -> None:
        # The ledger is written twice: before the files are moved, and when the release is current.
        if step == "write_ledger" and getattr(arguments[-1], "unfinished", []):
            return write_ledger(*arguments)  # type: ignore[arg-type]
        raise KilledError

    monkeypatch.setattr(releases, step, killed)
    monkeypatch.setattr("storage.releases.publishing.shutil.rmtree", lambda *_, **__: None)
    if step == "make_current":
        monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    with pytest.raises(KilledError):
        publish_release(workspace, "news", content())
    assert moment_of_death(workspace, "news") == moment


def test_the_parquet_copy_comes_after_the_release(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    publish_release(workspace, "news", content())
    staging_folder(workspace, "news").mkdir()
    for name in ("release.duckdb", "release.parquet"):
        (staging_folder(workspace, "news") / name).touch()
    assert moment_of_death(workspace, "news") == faults.COPYING
