"""Metrics: what the ledgers say, in Prometheus' own format, on both databases."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from scheduler.errors import InvalidSetting
from scheduler.metrics import Ledgers, metrics, metrics_served
from storage.campaigns import NewCampaign, create_campaign
from storage.chunks import Cut, NewChunk, add_chunks
from storage.engine import open_database, reading, transaction
from storage.heartbeats import join, report_exit
from storage.leader import read_leader, take_leadership
from storage.moves import (
    Counts,
    Expiry,
    Finished,
    Ledger,
    claim_chunk,
    expire_chunk,
    finish_chunk,
    queue_chunk,
    release_chunk,
)  # fmt: skip
from storage.sources import Slice, add_slice
from storage.states import StageName

DASHBOARD = Path(__file__).parents[2] / "deploy/grafana/sluice.json"
Samples = dict[tuple[str, tuple[str, ...]], float]


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url = str(tmp_path / "x.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    engine = open_database(url)
    yield engine
    engine.dispose()


def attempt(session: Session, chunk: int) -> int:
    assert queue_chunk(session, 1, chunk, resend_at=9.0, now=1.0)
    claimed = claim_chunk(session, chunk, "w", now=2.0)
    assert claimed is not None
    return claimed.attempt


def fill(engine: Engine) -> None:
    """Three chunks: one done in its third attempt, after one that raised and one that expired; one runs, one waits."""
    with transaction(engine) as session:
        campaign = create_campaign(session, NewCampaign("x", {}, 1, "0", (StageName.PREDICT,)), now=0.0)
        assert take_leadership(session, "d", read_leader(session)) == 1
        cut = Cut(campaign, StageName.PREDICT, 0, 30, tuple(NewChunk(start, start + 10) for start in (0, 10, 20)))
        assert add_chunks(session, 1, cut)
        add_slice(session, campaign, Slice(0, ("CsI", "NaCl"), invalid=3, duplicate=1))
        assert release_chunk(session, 1, attempt(session, 1), "ValueError: x")
        assert expire_chunk(session, 1, 1, attempt(session, 1), Expiry("its lease ended"))
        ledger = Ledger(0.5, 4.0, 0.25, device=3.0, idle=1.0, batches=2, items=10)
        counts = Counts(10, survived=6, rejected=2, invalid=1, failed=1)
        finish_chunk(session, Finished(1, attempt(session, 1), counts, "0" * 16, ledger), now=3.0)
        attempt(session, 2)
        join(session, "a", True, ["predict", "csp"], 0.0)
        join(session, "gone", True, ["predict"], 0.0)
        report_exit(session, "gone", unplanned=False)


def samples(words: str) -> Samples:
    families = text_string_to_metric_families(words)
    return {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_ledgers_are_told_as_they_are(engine: Engine) -> None:
    fill(engine)
    with reading(engine) as session:
        found = samples(metrics(session, Ledgers()))
    expected = {
        ("sluice_inputs_total", ("predict", "survived")): 6,
        ("sluice_inputs_total", ("invalid", "predict")): 1,
        ("sluice_chunks", ("predict", "waiting")): 1,
        ("sluice_chunks", ("predict", "running")): 1,
        ("sluice_chunks_ended_total", ("done", "predict")): 1,
        ("sluice_attempts_total", ("predict",)): 4,
        ("sluice_attempt_errors_total", ("predict",)): 1,
        ("sluice_lease_expiries_total", ("predict",)): 1,
        ("sluice_worker_crashes_total", ("predict",)): 0,
        ("sluice_chunk_seconds_total", ("compute", "predict")): 4.0,
        ("sluice_device_seconds_total", ("predict",)): 3.0,
        ("sluice_device_idle_seconds_total", ("predict",)): 1.0,
        ("sluice_batches_total", ("predict",)): 2,
        ("sluice_batch_items_total", ("predict",)): 10,
        ("sluice_source_lines_total", ("invalid",)): 3,
        ("sluice_campaigns", ("running",)): 1,
        ("sluice_campaign_priority", ("1",)): 10,
        ("sluice_campaign_cut", ("1", "predict")): 30,
        ("sluice_campaign_open_chunks", ("1", "predict")): 2,
        ("sluice_workers", ("predict",)): 1,
        ("sluice_workers", ("explain",)): 0,
        ("sluice_dispatcher_leads", ()): 1,
    }
    assert {key: found.get(key) for key in expected} == expected


def test_the_dashboard_asks_only_for_metrics_and_labels_that_are_served(engine: Engine) -> None:
    fill(engine)
    with reading(engine) as session:
        served = {
            sample.name: set(sample.labels)
            for family in text_string_to_metric_families(metrics(session, Ledgers()))
            for sample in family.samples
        }
    panels = json.loads(DASHBOARD.read_text())["panels"]
    targets = [target for panel in panels for target in panel["targets"]]
    assert len(targets) > 10
    for target in targets:
        names = set(re.findall(r"\bsluice_\w+", target["expr"]))
        assert names and names <= set(served)
        labels = set(re.findall(r"[{(,]\s*(\w+)\s*(?=[=!),])", target["expr"])) - names
        assert labels | set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= set().union(
            *(served[n] for n in names)
        )


def test_an_empty_database_has_metrics_too(engine: Engine) -> None:
    with reading(engine) as session:
        found = samples(metrics(session, Ledgers()))
    assert found[("sluice_campaigns", ("running",))] == 0


def test_they_are_read_anew_at_each_look(tmp_path: Path, free_tcp_port: int) -> None:
    engine = open_database(str(tmp_path / "x.db"))

    def look() -> Samples:
        with urlopen(f"http://127.0.0.1:{free_tcp_port}/metrics", timeout=30) as answer:
            return samples(answer.read().decode())

    with metrics_served(engine, f"127.0.0.1:{free_tcp_port}"):
        assert look()[("sluice_campaigns", ("running",))] == 0
        fill(engine)
        assert look()[("sluice_campaigns", ("running",))] == 1
    with pytest.raises(OSError):
        look()
    engine.dispose()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    engine = open_database(str(tmp_path / "x.db"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(InvalidSetting, match=f"{place}.*a free port"), metrics_served(engine, place):
            pass
    engine.dispose()


def test_closed_stages_are_read_once_and_counted_ever_after(engine: Engine) -> None:
    fill(engine)
    ledgers = Ledgers()
    with transaction(engine) as session:
        for chunk in (2, 3):
            counts = Counts(10, rejected=10)
            running = 1 if chunk == 2 else attempt(session, chunk)
            finish_chunk(session, Finished(chunk, running, counts, "0" * 16, Ledger(0.5, 4.0, 0.25)), now=3.0)
        session.execute(text("UPDATE stage SET closed = true"))
    with transaction(engine) as session:
        before = samples(metrics(session, ledgers))
        session.execute(text("DELETE FROM chunk"))
    with reading(engine) as session:
        assert samples(metrics(session, ledgers)) == before
    assert before[("sluice_chunks_ended_total", ("done", "predict"))] == 3
    fill_another(engine)
    with reading(engine) as session:
        found = samples(metrics(session, ledgers))
    assert found[("sluice_chunks_ended_total", ("done", "predict"))] == 3
    assert found[("sluice_chunks", ("predict", "waiting"))] == 1


def fill_another(engine: Engine) -> None:
    """A campaign with a chunk that waits."""
    with transaction(engine) as session:
        campaign = create_campaign(session, NewCampaign("y", {}, 1, "0", (StageName.PREDICT,)), now=0.0)
        assert add_chunks(session, 1, Cut(campaign, StageName.PREDICT, 0, 10, (NewChunk(0, 10),)))
