"""A PostgreSQL and a Redis server of the tests' own, where their programs are installed; and Ctrl-C that is heard."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

SERVER_URL = "SLUICE_TEST_POSTGRES_URL"
# A server whose data may be lost: what is tested is SQL, not the disk.
OPTIONS = "-c listen_addresses='' -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=32MB"


def pytest_configure() -> None:
    """Let what tests start hear Ctrl-C, though a shell has those in the background ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a database in which schemas can be made; skips without one, but fails in CI."""
    programs = _programs()
    if url := os.environ.get(SERVER_URL):
        yield url
    elif find_spec("psycopg") is None or programs is None:
        missing = f"PostgreSQL is not installed here, and {SERVER_URL} is not set"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    else:
        with _server(programs) as server:
            yield server.url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of a new, empty schema, which takes a tenth of the time of a new database."""
    name = f"sluice_test_{uuid4().hex[:12]}"
    server = create_engine(make_url(postgres_server).set(drivername="postgresql+psycopg"))
    with server.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    mine = server.url.update_query_dict({"options": f"-csearch_path={name}"})
    yield mine.render_as_string(hide_password=False)
    with server.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
    server.dispose()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator["RedisServer"]:
    """A Redis server of the test's own; skips where there is none, fails in CI."""
    program = shutil.which("redis-server")
    if program is None:
        missing = "redis-server is not installed here"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    server = RedisServer(program, tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: "RedisServer") -> str:
    """Where it is."""
    return redis_server.url


@pytest.fixture
def own_postgres() -> Iterator["PostgresServer"]:
    """A PostgreSQL server that the test may restart; skips where there is none, fails in CI."""
    programs = _programs()
    if find_spec("psycopg") is None or programs is None:
        missing = "PostgreSQL is not installed here"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with _server(programs) as server:
        yield server


class RedisServer:
    """A Redis that keeps nothing on disk: stopped and started, it is empty."""

    def __init__(self, program: str, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class PostgresServer:
    """A PostgreSQL on a socket in a folder of its own."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.url = f"postgresql://postgres@/postgres?host={folder}"
        self._programs, self._folder = programs, folder
        self._user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
        if self._user:
            shutil.chown(folder, self._user)
        data = str(folder / "data")
        self._call("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")

    def start(self) -> None:
        self._control("-w", "-o", f"{OPTIONS} -k {self._folder}", "start")

    def stop(self) -> None:
        """Cut every connection and transaction off, as a crash does."""
        self._control("-m", "immediate", "stop")

    def _control(self, *arguments: str) -> None:
        self._call("pg_ctl", "-D", str(self._folder / "data"), *arguments)

    def _call(self, program: str, *arguments: str) -> None:
        with (self._folder / "log").open("ab") as log:
            command = [str(self._programs / program), *arguments]
            subprocess.run(command, user=self._user, cwd=self._folder, stdout=log, stderr=log, check=True)


def _programs() -> Path | None:
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


@contextmanager
def _server(programs: Path) -> Iterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="sluice-pg-"))
    try:
        server = PostgresServer(programs, folder)
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
