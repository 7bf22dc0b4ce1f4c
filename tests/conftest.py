"""A PostgreSQL and a Redis server of the tests' own, where their programs are installed; and Ctrl-C that is heard."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
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
        yield from _server(programs)


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
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A Redis server of the test's own; skips where there is none, fails in CI."""
    program = shutil.which("redis-server")
    if program is None:
        missing = "redis-server is not installed here"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait()


def _programs() -> Path | None:
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


def _server(programs: Path) -> Iterator[str]:
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="sluice-pg-"))
    if user:
        shutil.chown(folder, user)
    data = str(folder / "data")

    def call(program: str, *arguments: str) -> None:
        with (folder / "log").open("ab") as log:
            command = [str(programs / program), *arguments]
            subprocess.run(command, user=user, cwd=folder, stdout=log, stderr=log, check=True)

    try:
        call("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        call("pg_ctl", "-D", data, "-w", "-o", f"{OPTIONS} -k {folder}", "start")
        yield f"postgresql://postgres@/postgres?host={folder}"
        call("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
