"""A task from claim to record, and each way in which it can go wrong."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine

from scheduler.campaigns import create_campaign, pause_campaign
from scheduler.celery_app import ALL_QUEUES, TASK, make_app
from scheduler.errors import MachineFailed
from scheduler.flow import Role
from scheduler.hands import Hands
from scheduler.settings import load_settings
from scheduler.spec import parse_spec
from scheduler.tasks import Bench, register, work_on
from storage.campaigns import read_campaign
from storage.chunks import Chunk, Cut, NewChunk, add_chunks, read_chunk
from storage.engine import open_database, reading, transaction
from storage.errors import DatabaseFull
from storage.funnels import funnel
from storage.leader import read_leader, take_leadership
from storage.ledgers import stage_ledgers
from storage.moves import Expiry, expire_chunk, queue_chunk
from storage.states import CampaignState, ChunkState, StageName
from workers.actors import Answer, ClusterLost, Outcome
from workers.pool import ModelUnavailable, Use

SIZE = 5
FIRST = 1


class OnePool:
    """Pools of one model, which is a function."""

    def __init__(self, answer: Callable[[Sequence[object]], list[object]]) -> None:
        self.answer = answer

    def pool(self, role: Role, name: str) -> "OnePool":
        return self

    def run(
        self,
        method: str,
        items: Sequence[object],
        options: Mapping[str, object],
        batch: int,
        seconds: float,
        use: Use,
    ) -> list[object]:
        use.add(Answer(Outcome.DONE, seconds=2.0, idle=0.5), len(items))
        return self.answer(items)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'test.db'}")
    source = {"kind": "enumerate", "cations": ["Cu", "In"], "anions": ["S"]}
    campaign = create_campaign(engine, parse_spec({"source": source, "predict": {"where": "band_gap > 1"}}, "test"))
    with transaction(engine) as session:
        assert take_leadership(session, "test", read_leader(session)) == FIRST
        cut = Cut(campaign, StageName.PREDICT, 0, SIZE, (NewChunk(0, SIZE),))
        assert add_chunks(session, FIRST, cut) and queue_chunk(session, FIRST, FIRST, 0, 0)
    return engine


def bench(engine: Engine, answer: Callable[[Sequence[object]], list[object]], lost: list[str] | None = None) -> Bench:
    told = [] if lost is None else lost
    return Bench("w", engine, Hands(), OnePool(answer), 60.0, told.append)  # type: ignore[arg-type]


def gaps(items: Sequence[object]) -> list[object]:
    return [{"band_gap": (0.5 + place, 0.1), "e_above_hull": (0.1, 0.1)} for place in range(len(items))]


def raising(exc: Exception) -> Callable[[Sequence[object]], list[object]]:
    def answer(items: Sequence[object]) -> list[object]:
        raise exc

    return answer


def chunk(engine: Engine) -> Chunk:
    with reading(engine) as session:
        return read_chunk(session, FIRST)


def test_claimed_computed_recorded(engine: Engine) -> None:
    work_on(FIRST, bench(engine, gaps))
    with reading(engine) as session:
        [report], [ledger] = funnel(session, 1), stage_ledgers(session)
    assert (chunk(engine).state, chunk(engine).worker_id) == (ChunkState.DONE, "w")
    assert (report.counts.input, report.counts.survived, report.counts.rejected) == (SIZE, SIZE - 1, 1)
    taken = [ledger.sums[name] for name in ("device_seconds", "idle_seconds", "batches", "batch_items")]
    assert taken == [2.0, 0.5, 1, SIZE]
    assert ledger.sums["record_seconds"] > 0, "taken after the rows were written"


def test_second_message_finds_nothing_to_do(engine: Engine) -> None:
    work_on(FIRST, bench(engine, gaps))
    work_on(FIRST, bench(engine, raising(AssertionError("computed twice"))))
    assert chunk(engine).attempt == 1


def test_paused_campaign_is_not_worked_on(engine: Engine) -> None:
    pause_campaign(engine, 1)
    work_on(FIRST, bench(engine, raising(AssertionError("computed"))))
    assert chunk(engine).state == ChunkState.QUEUED


def test_what_raises_goes_back_with_its_reason(engine: Engine) -> None:
    work_on(FIRST, bench(engine, raising(ValueError("no such element"))))
    back = chunk(engine)
    assert (back.state, back.errors, back.reason) == (ChunkState.WAITING, 1, "ValueError: no such element")


def test_late_writer_stores_nothing(engine: Engine) -> None:
    def too_long(items: Sequence[object]) -> list[object]:
        with transaction(engine) as session:
            expire_chunk(session, FIRST, FIRST, 1, Expiry("its lease ended"))
        return gaps(items)

    work_on(FIRST, bench(engine, too_long))
    with reading(engine) as session:
        [report] = funnel(session, 1)
    assert (chunk(engine).state, chunk(engine).errors, report.counts.input) == (ChunkState.WAITING, 0, 0)


@pytest.mark.parametrize("loss", [ClusterLost("no ping"), MachineFailed("no Ray node came up")])
def test_lost_cluster_is_nobodys_fault(engine: Engine, loss: Exception) -> None:
    lost: list[str] = []
    work_on(FIRST, bench(engine, raising(loss), lost))
    assert lost == [str(loss)]
    assert (chunk(engine).state, chunk(engine).errors) == (ChunkState.RUNNING, 0), "its lease will end"


def test_full_disk_is_nobodys_fault(engine: Engine) -> None:
    work_on(FIRST, bench(engine, raising(DatabaseFull("x.db"))))
    assert (chunk(engine).state, chunk(engine).errors) == (ChunkState.RUNNING, 0)


def test_model_that_cannot_be_loaded_stops_the_campaign_not_the_chunk(engine: Engine) -> None:
    work_on(FIRST, bench(engine, raising(ModelUnavailable("tiny", "KeyError: 'weights'"))))
    with reading(engine) as session:
        assert read_campaign(session, 1).state == CampaignState.FAILED
    assert chunk(engine).state == ChunkState.WAITING


def test_message_goes_through_the_embedded_broker(engine: Engine, tmp_path: Path) -> None:
    settings = load_settings({"SLUICE_DATABASE_URL": f"sqlite:///{tmp_path / 'test.db'}"})
    (settings.broker_folder / "control").mkdir(parents=True)
    app = make_app(settings)
    register(app, bench(engine, gaps))
    app.send_task(TASK, args=[FIRST], queue=ALL_QUEUES[0])
    files = [path.read_text() for path in settings.broker_folder.glob("*.msg")]
    assert len(files) == 1 and "pickle" not in files[0]
    assert app.conf.accept_content == ["json"]
    app.tasks[TASK](FIRST)
    assert chunk(engine).state == ChunkState.DONE
