"""/v1/campaigns: created once, watched, moved, reported; told live."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3
from prometheus_client.parser import text_string_to_metric_families

from storage.campaigns import campaigns_in, move_campaign
from storage.engine import open_database, reading, transaction
from storage.states import CampaignState

SPEC = {
    "name": "halides",
    "seed": 5,
    "source": {"kind": "enumerate", "cations": ["Cs", "Pb"], "anions": ["I"]},
    "csp": {"top": 3, "structures": 2},
}
TOML = """
name = "halides"
seed = 5
[source]
kind = "enumerate"
cations = ["Cs", "Pb"]
anions = ["I"]
[csp]
top = 3
structures = 2
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path, serve) -> Iterator:
    """A server on a new database of each kind."""
    new = str(tmp_path / "new.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    engine = open_database(new)
    with serve(engine) as site:
        yield site
    engine.dispose()


def test_a_campaign_is_created_from_json_and_runs(empty) -> None:
    response = empty.ask("POST", "/v1/campaigns", "run", SPEC)
    assert response.status == 201
    made = response.json()
    assert response.headers["location"] == f"/v1/campaigns/{made['id']}"
    assert empty.get(response.headers["location"]) == made
    assert (made["name"], made["state"], made["seed"], made["finished_at"]) == ("halides", "running", 5, None)
    assert [stage["stage"] for stage in made["stages"]] == ["predict", "csp", "judge"]
    assert made["stages"][0]["total"] > 3
    assert set(made["models"]) == {"composition", "generator", "structure"}
    with reading(empty.engine) as session:
        assert campaigns_in(session, CampaignState.RUNNING) == [made["id"]]


def test_a_campaign_of_proposals_is_created_with_the_model_that_proposes(empty) -> None:
    source = {"kind": "generate", "count": 50, "band_gap": 1.4, "space_group": 216}
    made = empty.ask("POST", "/v1/campaigns", "run", SPEC | {"source": source}).json()
    assert made["stages"][0]["total"] == 50
    assert set(made["models"]) == {"proposer", "composition", "generator", "structure"}
    assert made["models"]["proposer"] == made["models"]["generator"]
    assert (made["spec"]["csp"]["band_gap"], made["spec"]["csp"]["space_group"]) == (1.4, 216)


def test_toml_says_the_same_as_json(empty) -> None:
    one = empty.ask("POST", "/v1/campaigns", "run", SPEC).json()
    response = empty.ask("POST", "/v1/campaigns", "run", TOML.encode(), **{"Content-Type": "application/toml"})
    assert response.status == 201
    assert response.json()["spec"] == one["spec"]
    assert response.json()["id"] != one["id"]


def test_the_same_key_and_body_make_one_campaign(empty) -> None:
    first = empty.ask("POST", "/v1/campaigns", "run", SPEC, Idempotency_Key="k1").json()
    toml = {"Content-Type": "application/toml", "Idempotency-Key": "k1"}
    assert empty.ask("POST", "/v1/campaigns", "run", TOML.encode(), **toml).json() == first
    assert empty.ask("POST", "/v1/campaigns", "admin", SPEC, Idempotency_Key="k1").json()["id"] != first["id"]
    problem = empty.problem(409, "POST", "/v1/campaigns", "run", SPEC | {"seed": 6}, Idempotency_Key="k1")
    assert problem["type"] == "urn:sluice:key-taken"
    assert f"campaign {first['id']}" in problem["detail"]


def test_the_same_request_at_once_makes_one_campaign(empty) -> None:
    def create(_: int) -> int:
        return int(empty.ask("POST", "/v1/campaigns", "run", SPEC, Idempotency_Key="k2").json()["id"])

    with ThreadPoolExecutor(8) as threads:
        ids = set(threads.map(create, range(16)))
    assert len(ids) == 1
    assert len(empty.get("/v1/campaigns")["data"]) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": 1}, ["colour", "source"]),
        ({"source": {"kind": "list", "formulas": ["CsI", "Xx2O"]}}, ["source.formulas", "'Xx'"]),
        ({"source": {"kind": "list", "formulas": []}}, ["source.formulas"]),
        ({"source": {"kind": "list", "formulas": ["CsI"] * 1001}}, ["source.formulas", "1000"]),
        ({"source": {"kind": "guess"}}, ["guess", "list"]),
        ({"source": {"kind": "file", "path": "/etc/passwd"}}, ["file", "list", "enumerate"]),
        ({"source": {"kind": "substitute", "path": "/etc/passwd", "replace": {"Ba": ["Sr"]}}}, ["file", "generate"]),
        ({"source": {"kind": "enumerate", "cations": ["He"], "anions": ["I"]}}, ["He"]),
        ({"source": {"kind": "generate", "count": 0}}, ["source.count", "0"]),
        ({"source": {"kind": "generate", "count": 9, "model": "crystallm"}}, ["crystallm-generator", "expected"]),
        ({"source": {"kind": "generate", "count": 9, "model": "../etc"}}, ["../etc", "/v1/models"]),
        ({"predict": {"where": "band_gap > 1.8 AND band_gap < 1.0"}}, ["predict.where", "band_gap"]),
        ({"predict": {"model": "../../etc"}}, ["../../etc", "/v1/models"]),
        ({"predict": {"model": "nobody"}}, ["nobody"]),
        ({"predict": {"score": "-" * 2_000 + "band_gap"}}, ["predict.score", "levels"]),
        ({"csp": {"top": 0}}, ["csp.top", "0"]),
        ({"csp": {"top": 10**30}}, ["csp.top", "2147483647"]),
        ({"csp": {"structures": 10**30}}, ["csp.structures", "10000"]),
        ({"seed": -1}, ["seed", "-1"]),
        ({"name": "a\u0000b"}, ["name", "printable"]),
        ({"name": "\ud800"}, ["name"]),
    ],
)
def test_a_spec_that_does_not_fit_is_one_line(shown, change: dict, words: list[str]) -> None:
    detail = shown.problem(422, "POST", "/v1/campaigns", "run", SPEC | change)["detail"]
    assert all(word in detail for word in words)


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (422, "application/json", b"{"),
        (422, "application/json", b"[1]"),
        (422, "application/json", b'{"seed": NaN}'),
        (422, "application/json", b"[" * 100_000),
        (422, "application/json", b"\xff"),
        (422, "application/toml", b"[source"),
        (415, "text/plain", b"{}"),
        (415, "application/x-www-form-urlencoded", b"a=b"),
        (413, "application/json", b" " * (1 << 21)),
    ],
)
def test_a_body_that_is_no_spec_is_one_line(shown, status: int, kind: str, body: bytes) -> None:
    shown.problem(status, "POST", "/v1/campaigns", "run", body, **{"Content-Type": kind})


def test_a_body_of_unknown_length_is_counted(shown) -> None:
    headers = {"Authorization": f"Bearer {shown.tokens['run']}", "Content-Type": "application/json"}
    pieces = (b" " * 65536 for _ in range(100))
    pool = urllib3.PoolManager(retries=False)
    response = pool.request("POST", f"{shown.url}/v1/campaigns", body=pieces, headers=headers, chunked=True)
    assert (response.status, response.json()["status"]) == (413, 413)


def test_campaigns_are_listed_newest_first_page_by_page(empty) -> None:
    ids = [empty.ask("POST", "/v1/campaigns", "run", SPEC | {"seed": n}).json()["id"] for n in range(5)]
    page = empty.get("/v1/campaigns?limit=2")
    assert [entry["id"] for entry in page["data"]] == ids[:2:-1]
    rest = empty.get(f"/v1/campaigns?before={page['next']}")
    assert [entry["id"] for entry in rest["data"]] == ids[2::-1] and rest["next"] is None
    assert empty.get("/v1/campaigns?state=done")["data"] == []


def test_a_campaign_is_paused_resumed_and_cancelled(empty) -> None:
    path = empty.ask("POST", "/v1/campaigns", "run", SPEC).headers["location"]
    for move, state in (("pause", "paused"), ("pause", "paused"), ("resume", "running"), ("resume", "running")):
        assert empty.ask("POST", f"{path}/{move}", "run").json()["state"] == state
    assert empty.ask("POST", f"{path}/cancel", "run").json()["state"] == "cancelled"
    assert empty.ask("POST", f"{path}/cancel", "run").status == 200
    assert "cancelled" in empty.problem(409, "POST", f"{path}/resume", "run")["detail"]
    empty.problem(404, "POST", "/v1/campaigns/99/pause", "run")


def test_a_campaign_is_weighed(empty) -> None:
    path = empty.ask("POST", "/v1/campaigns", "run", SPEC).headers["location"]
    assert empty.ask("PUT", f"{path}/priority", "run", {"priority": 20}).json()["priority"] == 20
    assert empty.get(path)["priority"] == 20
    assert "100" in empty.problem(422, "PUT", f"{path}/priority", "run", {"priority": 101})["detail"]


@pytest.mark.parametrize(("form", "kind"), [("html", "text/html"), ("md", "text/markdown")])
def test_the_report_is_written_as_the_command_line_writes_it(sluice, shown, form: str, kind: str) -> None:
    said = sluice("campaign", "report", 1, "--format", form, "--db", shown.engine.url.database).stdout
    response = shown.ask("GET", f"/v1/campaigns/1/report.{form}", "read")
    assert response.headers["content-type"].startswith(kind)
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.data.decode().strip() == said.strip()
    shown.problem(404, "GET", f"/v1/campaigns/9/report.{form}")


def test_prometheus_reads_what_was_done(shown) -> None:
    families = {
        family.name: family for family in text_string_to_metric_families(shown.ask("GET", "/metrics").data.decode())
    }
    assert families["sluice_attempts"].samples
    assert {sample.labels["state"] for sample in families["sluice_campaigns"].samples} >= {"running", "done"}


def test_the_report_tells_what_was_found(sluice, shown) -> None:
    said = json.loads(sluice("campaign", "report", 1, "--json", "--db", shown.engine.url.database).stdout)
    report = shown.get("/v1/campaigns/1/report?top=2")
    assert report["campaign"] == shown.get("/v1/campaigns/1")
    assert report["campaign"]["source"] == said["source"]
    assert [card["formula"] for card in report["candidates"]] == [each["formula"] for each in said["candidates"]][:2]
    assert report["candidates"][0]["main_reason"] == said["candidates"][0]["main_reason"]
    assert report["interactions"][0]["explained"] == 2
    for stage in report["campaign"]["stages"]:
        assert stage["input"] == sum(stage[end] for end in ("survived", "rejected", "duplicate", "invalid", "failed"))
    shown.problem(404, "GET", "/v1/campaigns/9/report")


def test_events_tell_each_change_and_end_with_the_campaign(empty) -> None:
    campaign = empty.ask("POST", "/v1/campaigns", "run", SPEC).json()
    seen: list[tuple[str, dict]] = []
    begun = threading.Event()

    def watch() -> None:
        for event in events_of(empty, campaign["id"]):
            seen.append(event)
            begun.set()

    thread = threading.Thread(target=watch)
    thread.start()
    assert begun.wait(30)
    empty.ask("POST", f"/v1/campaigns/{campaign['id']}/pause", "run")
    for _ in range(600):
        if len(seen) > 1:
            break
        time.sleep(0.05)
    with transaction(empty.engine) as session:
        assert move_campaign(session, campaign["id"], CampaignState.CANCELLED, now=5.0)
    thread.join(30)
    assert not thread.is_alive()
    assert [(name, status["state"]) for name, status in seen] == [
        ("progress", "running"), ("progress", "paused"), ("end", "cancelled"),
    ]  # fmt: skip
    assert seen[-1][1] == empty.get(f"/v1/campaigns/{campaign['id']}")


def test_events_of_what_has_ended_end_at_once(shown) -> None:
    assert [name for name, _ in events_of(shown, 1)] == ["end"]
    shown.problem(404, "GET", "/v1/campaigns/99/events")


def events_of(site, campaign_id: int) -> Iterator[tuple[str, dict]]:
    headers = {"Authorization": f"Bearer {site.tokens['read']}"}
    url = f"{site.url}/v1/campaigns/{campaign_id}/events"
    response = urllib3.PoolManager().request("GET", url, headers=headers, preload_content=False, timeout=60.0)
    assert response.headers["content-type"].startswith("text/event-stream")
    name = ""
    for line in map(bytes.decode, response):
        if line.startswith("event: "):
            name = line.removeprefix("event: ").strip()
        if line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))
    response.release_conn()
