"""Downloads from a server that fails: each fault ends in the whole file, or in one clear error."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.corpus.addresses import HOSTS_VARIABLE, check_address, file_name, is_address, safe_name
from storage.corpus.downloads import Download, download_of, downloaded_file, fetch, unused_downloads
from storage.corpus.transfers import Patience
from storage.errors import CorpusError, NotAllowedError, SettingsError, WorkspaceError
from storage.layout import Workspace
from storage.named_paths import ROOTS_VARIABLE
from tests.storage.corpus.web_server import Served, web_server

QUICK = Patience(attempts=3, first_wait=0.01, longest_wait=2, timeout=0.5, gain=1 << 16)


@pytest.fixture
def server() -> Iterator[Served]:
    with web_server() as served:
        yield served


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv(ROOTS_VARIABLE, raising=False)
    monkeypatch.delenv(HOSTS_VARIABLE, raising=False)
    return Workspace(tmp_path / "workspace")


def wanted(server: Served, **settings: object) -> Download:
    return replace(download_of(server.address, None, 1 << 40, keep_changes=False), **settings)  # type: ignore[arg-type]


def test_a_file_is_fetched_once_under_its_own_name(server: Served, workspace: Workspace) -> None:
    steps: list[tuple[int, int | None]] = []
    path = fetch(wanted(server), workspace, lambda done, total: steps.append((done, total)), QUICK)
    assert path.name == "news.txt"
    assert path.read_bytes() == server.content
    assert steps[-1] == (len(server.content), len(server.content))
    record = json.loads((path.parent / "record.json").read_text())
    assert record["sha256"] == hashlib.sha256(server.content).hexdigest()
    sent = server.sent
    assert fetch(wanted(server), workspace, patience=QUICK) == path == downloaded_file(wanted(server), workspace)
    assert server.sent == sent
    assert server.requests[-1][1]["If-None-Match"] == '"v1"'
    pinned = wanted(server, digest=f"sha256:{record['sha256']}")
    fetch(pinned, workspace, patience=QUICK)
    fetch(replace(pinned, address="http://127.0.0.1:9/texts/news.txt"), workspace, patience=QUICK)


@pytest.mark.parametrize("validator", ["etag", "last_modified", "neither"])
def test_an_unchanged_file_is_not_fetched_again(server: Served, workspace: Workspace, validator: str) -> None:
    server.etag = '"a"' if validator == "etag" else ""
    server.last_modified = format_datetime(datetime.now(UTC), usegmt=True) if validator == "last_modified" else ""
    first = fetch(wanted(server), workspace, patience=QUICK)
    modified = first.stat().st_mtime_ns
    assert fetch(wanted(server), workspace, patience=QUICK).stat().st_mtime_ns == modified


@pytest.mark.parametrize(
    "faults",
    [
        ["drop 100000", "drop 200000", "drop 70000", ""],
        ["429 0", "503 0", "500", ""],
        ["429 1", ""],
        ["drop 300000", "503", ""],
        ["length 5", "length 5", ""],
    ],
    ids=lambda faults: "-".join(faults).replace(" ", "_"),
)
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no_ranges"])
def test_faults_that_pass_end_in_the_whole_file(
    server: Served, workspace: Workspace, faults: list[str], ranges: bool
) -> None:
    server.faults, server.ranges = faults, ranges
    patience = replace(QUICK, attempts=4)
    assert fetch(wanted(server), workspace, patience=patience).read_bytes() == server.content
    if ranges and faults[0].startswith("drop"):
        assert server.sent == len(server.content)


def test_a_server_decides_how_long_to_wait(server: Served, workspace: Workspace) -> None:
    server.faults = [f"503 {format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)}", ""]
    start = time.monotonic()
    fetch(wanted(server), workspace, patience=QUICK)
    assert time.monotonic() - start > 0.5
    server.faults, server.etag = ["429 3600"], '"v2"'
    other = replace(wanted(server), folder="other")
    with pytest.raises(CorpusError, match="the server answers 429"):
        fetch(other, workspace, patience=QUICK)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("404", "404 Not Found: the server has no such file; check the address"),
        ("403", "403 Forbidden: .* check credentials"),
        ("401", "401 Unauthorized: the server requires credentials"),
        ("503", "the server answers 503 .*run the same command again; or fetch .* by hand and put it at .*news.txt"),
        ("redirect /texts/news.txt", "redirects in a loop"),
        ("redirect ftp://127.0.0.1/x", "is a URL that vecmill does not read"),
        ("length 100", "cannot be downloaded: peer closed connection"),
        ("drip", "cannot be downloaded: the server sends less than 1,024 bytes per second"),
        ("drop 0", "cannot be downloaded"),
    ],
)
def test_faults_that_stay_are_clear_errors(server: Served, workspace: Workspace, fault: str, message: str) -> None:
    server.faults = [fault]
    with pytest.raises((CorpusError, SettingsError), match=message):
        fetch(wanted(server), workspace, patience=QUICK)
    assert downloaded_file(wanted(server), workspace) is None
    server.faults = []
    assert fetch(wanted(server), workspace, patience=QUICK).read_bytes() == server.content


def test_no_server_at_all(workspace: Workspace) -> None:
    with pytest.raises(CorpusError, match=r"cannot be downloaded: .*onnect.* by hand"):
        fetch(download_of("http://127.0.0.1:9/a.txt", None, 1 << 30, keep_changes=False), workspace, patience=QUICK)


def test_a_file_that_changes_between_two_parts_is_fetched_anew(server: Served, workspace: Workspace) -> None:
    server.faults = ["drop 200000"]
    with pytest.raises(CorpusError):
        fetch(wanted(server), workspace, patience=replace(QUICK, attempts=1))
    server.faults, server.content, server.etag = [], b"four five six\n" * 60_000, '"v2"'
    assert fetch(wanted(server), workspace, patience=QUICK).read_bytes() == server.content
    assert server.requests[-1][1]["If-Range"] == '"v1"'


@pytest.mark.parametrize("content", [b"one two THREE\n" * 50_000, b"shorter"], ids=["same_size", "other_size"])
def test_a_later_change_is_an_error_unless_allowed(server: Served, workspace: Workspace, content: bytes) -> None:
    path = fetch(wanted(server), workspace, patience=QUICK)
    before, server.content, server.etag = server.content, content, '"v2"'
    with pytest.raises(CorpusError, match=r"changed since it was downloaded.*corpus\.allow_change=true"):
        fetch(wanted(server), workspace, patience=QUICK)
    assert path.read_bytes() == before
    assert fetch(wanted(server, keep_changes=True), workspace, patience=QUICK).read_bytes() == content


def test_a_server_that_is_down_leaves_the_copy(server: Served, workspace: Workspace) -> None:
    path = fetch(wanted(server), workspace, patience=QUICK)
    server.faults = ["503"]
    assert fetch(wanted(server), workspace, patience=QUICK) == path


def test_limits(server: Served, workspace: Workspace) -> None:
    with pytest.raises(CorpusError, match=r"more than corpus\.max_download_gb allows"):
        fetch(wanted(server, most_bytes=1000), workspace, patience=QUICK)
    with pytest.raises(CorpusError, match=r"the sha256 of .*but 0{64} is expected"):
        fetch(wanted(server, digest=f"sha256:{'0' * 64}"), workspace, patience=QUICK)
    server.faults = [f"huge {1 << 50}"]
    with pytest.raises(WorkspaceError, match="GB left; free some space"):
        fetch(wanted(server, most_bytes=1 << 60), workspace, patience=QUICK)


def test_a_file_put_there_by_hand_is_used(server: Served, workspace: Workspace) -> None:
    folder = workspace.downloads / wanted(server).folder
    folder.mkdir(parents=True)
    (folder / "news.txt").write_bytes(b"by hand")
    assert fetch(wanted(server), workspace, patience=QUICK).read_bytes() == b"by hand"
    assert not server.requests
    with pytest.raises(CorpusError, match="is expected"):
        fetch(wanted(server, digest=f"sha1:{'0' * 40}"), workspace, patience=QUICK)


def test_runs_in_parallel_share_a_download(server: Served, workspace: Workspace) -> None:
    server.pause = 0.01
    threads = [threading.Thread(target=fetch, args=(wanted(server), workspace)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.sent == len(server.content)


def test_a_killed_download_goes_on_where_it_was(server: Served, workspace: Workspace) -> None:
    server.content, server.pause = os.urandom(4 << 20), 0.01
    code = (
        "import sys; from pathlib import Path; from storage.layout import Workspace\n"
        "from storage.corpus.downloads import download_of, fetch\n"
        "fetch(download_of(sys.argv[1], None, 1 << 40, keep_changes=False), Workspace(Path(sys.argv[2])))"
    )
    part = workspace.downloads / wanted(server).folder / ".part"
    with subprocess.Popen([sys.executable, "-c", code, server.address, str(workspace.root)]) as process:
        while not (part.exists() and part.stat().st_size > 1 << 20):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    held = part.stat().st_size
    server.pause = 0
    assert fetch(wanted(server), workspace, patience=QUICK).read_bytes() == server.content
    assert server.requests[-1][1]["Range"] == f"bytes={held}-"


def test_secrets_in_addresses_are_neither_stored_nor_shown(server: Served, workspace: Workspace) -> None:
    address = f"{server.address.replace('//', '//user:hunter2@')}?token=hunter2&lang=en"
    download = download_of(address, None, 1 << 40, keep_changes=False)
    fetch(download, workspace, patience=QUICK)
    assert server.requests[-1][1]["Authorization"].startswith("Basic ")
    assert "token=hunter2" in server.requests[-1][0]
    for path in workspace.root.rglob("*"):
        assert "hunter2" not in path.name
        assert path.is_dir() or b"hunter2" not in path.read_bytes()
    # Another token is the same file.
    assert download_of(address.replace("hunter2", "hunter3"), None, 1, keep_changes=False).folder == download.folder
    server.faults = ["404"]
    with pytest.raises(CorpusError) as refusal:
        fetch(replace(download, folder="other"), workspace, patience=QUICK)
    assert "hunter2" not in str(refusal.value)


def test_only_allowed_hosts_are_contacted(
    server: Served, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ROOTS_VARIABLE, str(workspace.root))
    with pytest.raises(NotAllowedError, match=r"http://127\.0\.0\.1 is not an address that VECMILL_ALLOWED_HOSTS"):
        fetch(wanted(server), workspace, patience=QUICK)
    assert not server.requests
    monkeypatch.setenv(HOSTS_VARIABLE, "*.example.org, 127.0.0.1, s3://texts")
    fetch(wanted(server), workspace, patience=QUICK)
    check_address("https://data.example.org/x")
    check_address("s3://texts/a")
    for address in ("https://example.org.evil.com/x", "s3://other/a", "http://texts/a", "http://[::1]/x"):
        with pytest.raises(NotAllowedError):
            check_address(address)
    server.faults = [f"redirect {server.address.replace('127.0.0.1', 'localhost')}"]
    with pytest.raises(NotAllowedError, match="http://localhost"):
        fetch(replace(wanted(server), folder="other"), workspace, patience=QUICK)


@pytest.mark.parametrize("address", ["ftp://host/a", "http://", "http:///a", "http://[::1", "http://h:99999/x"])
def test_addresses_that_cannot_be_read(address: str) -> None:
    assert is_address(address)
    with pytest.raises(SettingsError, match=r"URL|valid address"):
        check_address(address)


@pytest.mark.parametrize(
    ("address", "disposition", "name"),
    [
        ("http://h/a/b.txt.gz?x=1", None, "b.txt.gz"),
        ("http://h/get?id=4", 'attachment; filename="news.csv"', "news.csv"),
        ("http://h/x", "attachment; filename*=UTF-8''%ED%95%9C%EA%B8%80.txt", "한글.txt"),
        ("http://h/", 'attachment; filename="../../etc/passwd"', "passwd"),
        ("http://h/%2e%2e%2fetc%2f.part", None, "part"),
        ("http://h/", None, "download"),
        ("http://h/record.json", None, "record.json"),
    ],
)
def test_names_of_files(address: str, disposition: str | None, name: str) -> None:
    assert file_name(address, disposition) == name


@given(st.text())
def test_names_are_always_safe(name: str) -> None:
    safe = safe_name(name.encode("utf-8", "replace").decode())
    assert safe
    assert not {"/", "\\", "\0", "*", "\n"} & set(safe)
    assert safe[0] not in "._"
    assert len(safe.encode()) < 200


def test_cleaning_up_knows_downloads(server: Served, workspace: Workspace) -> None:
    folder = fetch(wanted(server), workspace, patience=QUICK).parent
    assert not list(unused_downloads(workspace, time.time() - 60, dry_run=False))
    (listed,) = unused_downloads(workspace, time.time() + 60, dry_run=True)
    assert listed.complete
    assert listed.size > len(server.content)
    assert folder.is_dir()
    assert [unused.path for unused in unused_downloads(workspace, time.time() + 60, dry_run=False)] == [folder]
    assert not any(path.is_dir() for path in workspace.downloads.iterdir())


def test_too_small_a_disk_is_an_error_before_anything_is_fetched(
    server: Served, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=60 << 20))
    with pytest.raises(WorkspaceError, match=r"needs 0\.00 GB more, but the disk of .* has 0\.06 GB left"):
        fetch(wanted(server), workspace, patience=QUICK)
    assert downloaded_file(wanted(server), workspace) is None
