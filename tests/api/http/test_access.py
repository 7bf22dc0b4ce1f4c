"""Who may do what over HTTP, and how often."""

import logging
from pathlib import Path

import pytest

from api.buckets import MOST, Buckets
from api.service import Access
from storage.engine import open_database

READS = (
    "/v1/health",
    "/v1/models",
    "/v1/campaigns",
    "/v1/campaigns/1",
    "/v1/candidates",
    "/v1/candidates.csv",
    "/metrics",
)
SPEC = {"source": {"kind": "list", "formulas": ["CsI"]}}


@pytest.mark.parametrize("path", [*READS, "/openapi.json", "/docs", "/v1/tokens", "/v1/candidates?limit=x"])
def test_nothing_is_told_without_a_token(shown, path: str) -> None:
    problem = shown.problem(401, "GET", path, None)
    assert problem["type"] == "urn:sluice:no-token"
    assert shown.ask("GET", path, None).headers["www-authenticate"] == "Bearer"


def test_an_unknown_token_is_refused_and_not_repeated(site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        problem = site.problem(401, "GET", "/v1/health", None, Authorization="Bearer sluice_wrong-secret")
    assert "wrong-secret" not in str(problem)
    assert "wrong-secret" not in caplog.text
    assert site.problem(401, "GET", "/v1/health", None, Authorization="Basic YTpi")


@pytest.mark.parametrize("path", READS)
def test_readers_may_look(shown, path: str) -> None:
    assert shown.ask("GET", path, "read").status == 200


@pytest.mark.parametrize(
    ("method", "path", "needed", "body"),
    [
        ("POST", "/v1/campaigns", "run", SPEC),
        ("POST", "/v1/campaigns/1/pause", "run", None),
        ("POST", "/v1/campaigns/1/resume", "run", None),
        ("POST", "/v1/campaigns/1/cancel", "run", None),
        ("PUT", "/v1/campaigns/1/priority", "run", {"priority": 5}),
        ("GET", "/v1/tokens", "admin", None),
        ("POST", "/v1/tokens", "admin", {"name": "more", "role": "admin"}),
        ("DELETE", "/v1/tokens/1", "admin", None),
    ],
)
def test_each_role_may_do_no_more_than_it_says(site, method: str, path: str, needed: str, body: object) -> None:
    lesser = {"run": ["read"], "admin": ["read", "run"]}[needed]
    for role in lesser:
        problem = site.problem(403, method, path, role, body)
        assert repr(needed) in problem["detail"]
    assert site.ask(method, path, needed, body).status in (200, 201, 409)


def test_administrators_make_and_revoke_tokens(site) -> None:
    made = site.ask("POST", "/v1/tokens", "admin", {"name": "notebook", "role": "read", "days": 1})
    assert made.status == 201
    token = made.json()
    mine = {"Authorization": f"Bearer {token['token']}"}
    assert site.ask("GET", "/v1/health", None, **mine).status == 200
    listed = site.ask("GET", "/v1/tokens").json()
    assert listed[-1] == {key: value for key, value in token.items() if key != "token"}
    assert token["token"] not in str(listed)
    assert site.ask("DELETE", f"/v1/tokens/{token['id']}").json()["revoked_at"] is not None
    site.problem(401, "GET", "/v1/health", None, **mine)
    site.problem(404, "DELETE", "/v1/tokens/99")


def test_loopback_is_open_only_where_that_was_asked_for(engine, serve) -> None:
    with serve(engine, Access(insecure_loopback=True)) as site:
        assert site.ask("GET", "/v1/tokens", None).status == 200
        site.problem(401, "GET", "/v1/health", None, Authorization="Bearer sluice_wrong")


def test_an_open_loopback_answers_no_page_of_another_site(engine, serve) -> None:
    with serve(engine, Access(insecure_loopback=True)) as site:
        own = site.url.removeprefix("http://")
        assert site.ask("POST", "/v1/campaigns/1/resume", None, Origin=site.url).status == 200
        site.problem(403, "POST", "/v1/campaigns/1/cancel", None, None, Origin="https://evil.example")
        site.problem(403, "POST", "/v1/campaigns/1/cancel", None, None, Origin="null")
        site.problem(403, "GET", "/v1/health", None, None, Host=f"evil.example:{own.partition(':')[2]}")
        assert site.ask("GET", "/v1/health", "read", None, Host="sluice.example").status == 200


def test_too_many_requests_are_told_when_to_come_again(engine, serve) -> None:
    with serve(engine, Access(rate=0.05)) as site:
        assert site.ask("GET", "/v1/health", "read").status == 200
        response = site.ask("GET", "/v1/health", "read")
        assert response.status == 429
        assert 0 < int(response.headers["retry-after"]) <= 20
        assert site.ask("GET", "/v1/health", "run").status == 200


def test_a_bucket_fills_with_time() -> None:
    buckets = Buckets(rate=2.0, burst=3.0)
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b", 0.0) == 0
    assert buckets.take("a", 0.5) == 0
    assert buckets.take("a", 0.5) == 0.5
    assert [buckets.take("a", 100.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_buckets_remember_no_more_than_so_many() -> None:
    buckets = Buckets(rate=1.0, burst=1.0)
    for number in range(MOST + 5):
        assert buckets.take(str(number), 0.0) == 0
    assert buckets.take(str(MOST), 0.0) > 0
    assert buckets.take("0", 0.0) == 0


def test_the_command_line_makes_lists_and_revokes_tokens(sluice, tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    made = sluice("token", "create", "--name", "notebook", "--role", "run", "--db", path)
    assert made.status == 0
    secret = made.stdout.strip()
    assert secret.startswith("sluice_") and secret not in made.stderr
    listed = sluice("token", "list", "--db", path)
    assert "notebook" in listed.stdout and secret not in listed.stdout
    assert secret.encode() not in path.read_bytes()
    assert sluice("token", "revoke", 1, "--db", path).status == 0
    done = sluice("token", "revoke", 2, "--db", path)
    assert (done.status, done.stdout) == (2, "")
    assert "token 2" in done.stderr
    open_database(str(path)).dispose()


def test_a_token_s_name_is_shown_as_it_is(sluice, tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    for name in ("[/odd]", "[red]mine", ":smile:"):
        assert sluice("token", "create", "--name", name, "--db", path).status == 0
        assert name in sluice("token", "list", "--db", path).stdout
    for name in ("", "a\x1b[31mb", "x" * 201):
        done = sluice("token", "create", "--name", name, "--db", path)
        assert done.status == 2 and "printable" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--host", "0.0.0.0"), ["0.0.0.0", "sluice token create"]),
        (("--host", "no such host"), ["no such host"]),
        (("--host", "192.0.2.1"), ["192.0.2.1"]),
        (("--port", "99999"), ["99999"]),
    ],
)
def test_serve_refuses_what_cannot_be_in_one_line(sluice, arguments: tuple[str, ...], words: list[str]) -> None:
    done = sluice("serve", *arguments, "--port" if "--port" not in arguments else "--rate", 1)
    assert done.status == 2
    line = done.stderr.splitlines()[-1]
    assert all(word in line for word in words)
    assert "Traceback" not in done.stderr
