"""Databases for tests of the store; tests/conftest.py imports the fixtures."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def _missing(what: str) -> None:
    """Skip on a laptop, fail where everything has to be there."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def _sqlalchemy() -> Any:
    try:
        import sqlalchemy
    except ImportError:
        _missing("SQLAlchemy is not installed; see the extra sql")
    return sqlalchemy


class Postgres:
    """A server of its own: in a directory of its own, on a Unix socket there."""

    def __init__(self, programs: str, folder: str) -> None:
        self._programs, self.folder = programs, folder
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
        data = f"{folder}/data"
        self._run("initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N")
        options = f"-c listen_addresses='' -k {folder} -c fsync=off -c autovacuum=off"
        self._run("pg_ctl", "-D", data, "-l", f"{folder}/log", "-w", "-o", options, "start")

    def _run(self, program: str, *arguments: str) -> None:
        command = [f"{self._programs}/{program}", *arguments]
        if os.getuid() == 0:  # it refuses to run as root
            command = ["runuser", "-u", "postgres", "--", *command]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            timeout=60, cwd="/", check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    @property
    def url(self) -> str:
        return f"postgresql+psycopg2://postgres@/postgres?host={self.folder}"

    def close(self) -> None:
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "stop")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A private PostgreSQL server, of Debian's packages."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not found:
        _missing("PostgreSQL is not installed here")
    try:
        import psycopg2  # noqa: F401
    except ImportError:
        _missing("psycopg2 is not installed here")
    folder = tempfile.mkdtemp(prefix="fedmsg-pg-")
    try:
        server = Postgres(found[-1], folder)
        yield server
        server.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, of each kind."""
    sqlalchemy = _sqlalchemy()
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
        return
    url = request.getfixturevalue("postgres").url
    yield url
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE IF EXISTS fedmsg_messages"))
    engine.dispose()


@pytest.fixture
def sql_store(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """A function that returns a store on a URL; by default on an SQLite file of the test."""
    _sqlalchemy()
    from fedmsg.replay.sqlstore import from_url

    made: list[Any] = []

    def make(url: str = "") -> Any:
        made.append(from_url(url or f"sqlite:///{tmp_path}/store.db"))
        return made[-1]

    yield make
    for store in made:
        store.engine.dispose()
