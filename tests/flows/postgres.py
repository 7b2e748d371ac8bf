"""A PostgreSQL server for tests, in a temporary folder and on loopback alone."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.flows.server_stack import free_port

INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@dataclass(frozen=True)
class Database:
    """The URL of a database for Prefect, and the folder that holds it."""

    url: str
    folder: Path


def initdb() -> str | None:
    """PostgreSQL's program that makes a database, None where PostgreSQL is not installed."""
    return shutil.which("initdb") or next((str(path / "initdb") for path in INSTALLED[::-1]), None)


@contextmanager
def postgres_server() -> Iterator[Database]:
    """A database as long as this lasts. Skips the test where there is no PostgreSQL."""
    found = initdb()
    if not found:
        pytest.skip("needs PostgreSQL's server (initdb, pg_ctl)")
    # PostgreSQL does not run as root, and its user has to reach the folder.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="vecmill-postgres-", dir="/tmp"))
    folder.chmod(0o755)
    programs, data, port = Path(found).parent, folder / "data", free_port()
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)

    def run(*command: str) -> None:
        # Its own log: a server that has inherited a pipe keeps it open.
        whole = [str(programs / command[0]), *command[1:]]
        subprocess.run(whole, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    run("initdb", "-D", str(data), "-A", "trust", "-U", "postgres", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    run("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield Database(f"postgresql+asyncpg://postgres@127.0.0.1:{port}/postgres", folder)
    finally:
        run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)
