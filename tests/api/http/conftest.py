"""A real HTTP server in a thread, on a database as a finished campaign leaves it."""

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
import uvicorn
from sqlalchemy import Engine

from api.app import create_app
from api.service import Access, Service
from storage.engine import open_database, transaction
from storage.tokens import NewToken, TokenRole, add_token

POOL = urllib3.PoolManager(retries=False)


@dataclass(frozen=True)
class Site:
    """A server, its database, and a token of each role."""

    url: str
    engine: Engine
    tokens: Mapping[str, str]
    service: Service

    def ask(self, method: str, path: str, role: str | None = "admin", body: Any = None, **headers: str) -> Any:
        """The response to a request of somebody with this role."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if role is not None:
            sent["Authorization"] = f"Bearer {self.tokens[role]}"
        if body is not None and not isinstance(body, bytes):
            sent.setdefault("Content-Type", "application/json")
            body = json.dumps(body).encode()
        return POOL.request(method, self.url + path, body=body, headers=sent, timeout=60.0)

    def get(self, path: str, role: str | None = "read", **headers: str) -> Any:
        """The JSON of what a reader gets."""
        response = self.ask("GET", path, role, **headers)
        assert response.status == 200, response.data
        return response.json()

    def problem(self, status: int, method: str, path: str, *asked: Any, **headers: str) -> Any:
        """The problem that a request runs into."""
        response = self.ask(method, path, *asked, **headers)
        assert response.status == status, response.data
        assert response.headers["content-type"] == "application/problem+json"
        found = response.json()
        assert set(found) == {"type", "title", "status", "detail", "instance"}
        assert found["status"] == status
        assert "\n" not in found["detail"] and "Traceback" not in found["detail"]
        return found


@contextmanager
def served(engine: Engine, access: Access | None = None) -> Iterator[Site]:
    """A server on a free port."""
    with transaction(engine) as session:
        tokens = {role.value: f"sluice_{role}" for role in TokenRole}
        for role in TokenRole:
            add_token(session, tokens[role], NewToken(role, role), now=time.time())
    app = create_app(engine, access)
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}", engine, tokens, app.state.service)
        finally:
            server.should_exit = True
            thread.join()


Serve = Callable[..., Any]


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Start servers."""
    return served


@pytest.fixture
def engine(database: Path) -> Iterator[Engine]:
    """A finished campaign's database, to change."""
    engine = open_database(str(database))
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def shown(screened: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server on a finished campaign that nobody changes."""
    engine = open_database(str(shutil.copy(screened, tmp_path_factory.mktemp("shown") / "shown.db")))
    with served(engine) as site:
        yield site
    engine.dispose()


@pytest.fixture
def site(engine: Engine) -> Iterator[Site]:
    """A server on it."""
    with served(engine) as site:
        yield site
