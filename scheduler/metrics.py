"""Metrics in Prometheus' text format, from the database alone, so that any process can serve them."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from scheduler.celery_app import ALL_QUEUES
from scheduler.errors import InvalidSetting
from storage.engine import reading
from storage.heartbeats import read_beats
from storage.leader import read_leader
from storage.ledgers import StageLedger, add_ledgers, count_campaigns, ledgers_of, stages_by_end
from storage.snapshots import CampaignView, snapshot
from storage.sources import all_source_counts
from storage.states import CampaignState, ChunkState, StageName

OPEN = (ChunkState.WAITING, ChunkState.QUEUED, ChunkState.RUNNING)
ENDS = ("survived", "rejected", "duplicate", "invalid", "failed")
# name → (what it counts, the column of the chunks that is summed)
COUNTERS = {
    "sluice_attempts": ("Attempts at chunks, by stage.", "attempt"),
    "sluice_attempt_errors": ("Attempts that raised, by stage.", "errors"),
    "sluice_lease_expiries": ("Attempts whose lease ended, by stage.", "expiries"),
    "sluice_worker_crashes": ("Worker processes that a chunk alone in hand ended, by stage.", "crashes"),
    "sluice_device_seconds": ("Seconds that actors computed, by stage.", "device_seconds"),
    "sluice_device_idle_seconds": ("Seconds that actors had waited for their batches, by stage.", "idle_seconds"),
    "sluice_batches": ("Batches that actors computed, by stage.", "batches"),
    "sluice_batch_items": ("Items in these batches, by stage.", "batch_items"),
}


class Collected(Collector):
    """Metric families, asked for at each look."""

    def __init__(self, ask: Callable[[], Iterable[Metric]]) -> None:
        self._ask = ask

    def collect(self) -> Iterable[Metric]:
        """The families as they are now."""
        return self._ask()


class Ledgers:
    """The ledgers of all stages; those of closed stages, which never change, are read once in a process's life."""

    def __init__(self) -> None:
        self._known: set[tuple[int, StageName]] = set()
        self._closed: list[StageLedger] = []
        self._lock = threading.Lock()

    def read(self, session: Session) -> list[StageLedger]:
        """One ledger for each stage that has chunks, in the order of the funnel."""
        stages = stages_by_end(session)
        with self._lock:
            self._closed = add_ledgers([*self._closed, *ledgers_of(session, stages[True] - self._known)])
            self._known |= stages[True]
            return add_ledgers([*self._closed, *ledgers_of(session, stages[False] - self._known)])


def metrics(session: Session, ledgers: Ledgers) -> str:
    """All metrics as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collected(lambda: families(session, ledgers)))
    return generate_latest(registry).decode()


@contextmanager
def metrics_served(engine: Engine, place: str | None) -> Iterator[None]:
    """Metrics at http://HOST:PORT/metrics while the context lasts, if a place is asked for; raises InvalidSetting."""
    if place is None:
        yield
        return

    ledgers = Ledgers()

    def ask() -> list[Metric]:
        with reading(engine) as session:
            return list(families(session, ledgers))

    host, _, port = place.rpartition(":")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collected(ask))
    try:
        server, thread = start_http_server(int(port), host, registry)
    except OSError as exc:
        raise InvalidSetting(f"metrics at {place!r}: {exc.strerror}; a free port of this host is expected") from exc
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def families(session: Session, ledgers: Ledgers) -> Iterator[Metric]:
    """Every metric family, each with its samples."""
    stages = ledgers.read(session)
    yield from _chunks(stages)
    yield _ends(stages)
    yield _parts(stages)
    for name, (what, column) in COUNTERS.items():
        family = CounterMetricFamily(name, what, labels=["stage"])
        for ledger in stages:
            family.add_metric([ledger.stage], ledger.sums[column])
        yield family
    yield _source(session)
    yield from _campaigns(session)
    yield from _processes(session)


def _chunks(ledgers: Sequence[StageLedger]) -> Iterator[Metric]:
    open_chunks = GaugeMetricFamily("sluice_chunks", "Chunks that have not ended.", labels=["stage", "state"])
    ended = CounterMetricFamily("sluice_chunks_ended", "Chunks that have ended.", labels=["stage", "state"])
    for ledger in ledgers:
        for state in OPEN:
            open_chunks.add_metric([ledger.stage, state], ledger.chunks.get(state, 0))
        for state in (state for state in ChunkState if state not in OPEN):
            ended.add_metric([ledger.stage, state], ledger.chunks.get(state, 0))
    yield open_chunks
    yield ended


def _ends(ledgers: Sequence[StageLedger]) -> Metric:
    family = CounterMetricFamily("sluice_inputs", "Inputs of ended chunks by how they ended.", labels=["stage", "end"])
    for ledger in ledgers:
        for end in ENDS:
            family.add_metric([ledger.stage, end], ledger.sums[end])
    return family


def _parts(ledgers: Sequence[StageLedger]) -> Metric:
    family = CounterMetricFamily("sluice_chunk_seconds", "Seconds of recorded attempts.", labels=["stage", "part"])
    for ledger in ledgers:
        for part in ("load", "compute", "record"):
            family.add_metric([ledger.stage, part], ledger.sums[f"{part}_seconds"])
    return family


def _source(session: Session) -> Metric:
    counts = all_source_counts(session)
    family = CounterMetricFamily("sluice_source_lines", "Lines of source files by how they were read.", labels=["end"])
    for end in ("unique", "invalid", "duplicate"):
        family.add_metric([end], getattr(counts, end))
    return family


def _campaigns(session: Session) -> Iterator[Metric]:
    states = GaugeMetricFamily("sluice_campaigns", "Campaigns by state.", labels=["state"])
    counts = count_campaigns(session)
    for state in CampaignState:
        states.add_metric([state], counts.get(state, 0))
    yield states
    yield from _open_campaigns(snapshot(session, heads=0).campaigns)


def _open_campaigns(campaigns: Sequence[CampaignView]) -> Iterator[Metric]:
    labels = ["campaign", "stage"]
    cut = GaugeMetricFamily("sluice_campaign_cut", "Inputs cut into chunks, of campaigns that run.", labels=labels)
    left = GaugeMetricFamily("sluice_campaign_open_chunks", "Chunks not ended, of campaigns that run.", labels=labels)
    priority = GaugeMetricFamily("sluice_campaign_priority", "Priority of campaigns that run.", labels=["campaign"])
    for campaign in campaigns:
        priority.add_metric([str(campaign.id)], campaign.priority)
        for view in campaign.stages:
            names = [str(campaign.id), view.stage.name]
            cut.add_metric(names, view.stage.cursor)
            left.add_metric(names, sum(view.counts.get(state, 0) for state in OPEN))
    yield from (cut, left, priority)


def _processes(session: Session) -> Iterator[Metric]:
    workers = GaugeMetricFamily("sluice_workers", "Workers that serve a queue.", labels=["queue"])
    living = [beat.queues for beat in read_beats(session) if beat.exited is None]
    for queue in ALL_QUEUES:
        workers.add_metric([queue], sum(queue in queues for queues in living))
    yield workers
    leader = read_leader(session)
    yield GaugeMetricFamily("sluice_dispatcher_leads", "1 where a dispatcher leads.", value=float(bool(leader.holder)))
    yield CounterMetricFamily("sluice_dispatcher_epochs", "Changes of the lead.", value=leader.epoch)
