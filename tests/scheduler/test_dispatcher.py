"""Dispatchers on a real database: one leads, the next takes over, stages are cut as their members are known."""

import time
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError
from sqlalchemy import Engine, select

from scheduler.campaigns import create_campaign, pause_campaign, resume_campaign
from scheduler.dispatcher import Dispatcher, limits_for
from scheduler.growth import SIZES
from scheduler.settings import Settings, load_settings
from scheduler.spec import parse_spec
from storage.campaigns import read_campaign
from storage.candidates import NewCandidate, mark_survivors, record_candidates
from storage.chunks import Chunk, read_chunk
from storage.engine import open_database, reading, transaction
from storage.errors import LostFence
from storage.heartbeats import beat, join, report_exit
from storage.leader import read_leader
from storage.moves import Counts, Finished, Ledger, claim_chunk, finish_chunk, release_chunk
from storage.snapshots import snapshot
from storage.sources import Slice, add_slice
from storage.stages import read_stages, set_source_size
from storage.states import CampaignState, ChunkState, StageName
from storage.tables import ChunkTable

LEASE = 10.0


class Mailbox:
    """A broker that keeps what it is sent, or is down."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, str]] = []
        self.down = False

    def send_task(self, name: str, args: list[int], queue: str) -> None:
        if self.down:
            raise OperationalError("broker is down")
        self.sent.append((args[0], queue))

    def take(self) -> list[int]:
        chunks, self.sent = [chunk for chunk, _ in self.sent], []
        return chunks


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"SLUICE_DATABASE_URL": f"sqlite:///{tmp_path / 'test.db'}"})


@pytest.fixture
def engine(settings: Settings) -> Engine:
    return open_database(settings.database_url)


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


def dispatcher(name: str, settings: Settings, engine: Engine, mailbox: Mailbox) -> Dispatcher:
    return Dispatcher(name, settings, engine, mailbox)  # type: ignore[arg-type]


def campaign_of(engine: Engine, size: int, top: int | None) -> int:
    tables = {
        "source": {"kind": "enumerate", "cations": ["Cu", "In"], "anions": ["S"]},
        "csp": {"top": top},
        "explain": {"top": 3},
    }
    campaign = create_campaign(engine, parse_spec(tables, "test"))
    with transaction(engine) as session:
        set_source_size(session, campaign, size)
    return campaign


def finish(engine: Engine, chunk_id: int, keep: int) -> Chunk | None:
    """Do a chunk's work: the first so many survive, with scores that put later ones first."""
    with transaction(engine) as session:
        chunk = claim_chunk(session, chunk_id, "w", time.time())
    if chunk is None:
        return None
    start = chunk.start or 0
    formulas = list(chunk.formulas or (f"Cu{n}S" for n in range(start, chunk.stop or 0)))
    with transaction(engine) as session:
        kept = formulas[:keep]
        counts = Counts(input=len(formulas), survived=len(kept), rejected=len(formulas) - len(kept))
        finish_chunk(session, Finished(chunk.id, chunk.attempt, counts, "0" * 16, Ledger(0, 0, 0)), time.time())
        if chunk.stage == StageName.PREDICT:
            rows = [NewCandidate(f, ("Cu", "S"), float(start + i), {}) for i, f in enumerate(kept)]
            record_candidates(session, chunk.campaign_id, chunk.id, rows)
        else:
            mark_survivors(session, chunk.campaign_id, chunk.stage, kept)
    return chunk


def test_funnel_from_first_cut_to_done(settings: Settings, engine: Engine, mailbox: Mailbox) -> None:
    size = 2 * SIZES[StageName.PREDICT] + 5
    campaign = campaign_of(engine, size, top=6)
    leader, seen, now = dispatcher("a", settings, engine, mailbox), [], 0.0
    while read(engine, campaign) != CampaignState.DONE:
        now += 1
        assert now < 100
        leader.step(now)
        seen += [chunk for chunk in (finish(engine, chunk, keep=4) for chunk in mailbox.take()) if chunk]
    sizes = {stage: [chunk.size for chunk in seen if chunk.stage == stage] for stage in StageName}
    assert sizes[StageName.PREDICT] == [1024, 1024, 5]
    assert sum(sizes[StageName.CSP]) == 6 and sum(sizes[StageName.EXPLAIN]) == 3
    assert sum(sizes[StageName.JUDGE]) == 6
    best = [formula for chunk in seen if chunk.stage == StageName.CSP for formula in chunk.formulas or ()]
    assert best == ["Cu2051S", "Cu2050S", "Cu2049S", "Cu2048S", "Cu1027S", "Cu1026S"]


def test_without_top_survivors_stream_before_their_stage_closes(
    settings: Settings, engine: Engine, mailbox: Mailbox
) -> None:
    campaign = campaign_of(engine, 40 * SIZES[StageName.PREDICT], top=None)
    leader = dispatcher("a", settings, engine, mailbox)
    leader.step(0)
    leader.step(1)
    finish(engine, mailbox.take()[0], keep=3)
    leader.step(2)
    leader.step(3)
    queues = {queue for _, queue in mailbox.sent}
    assert queues == {"predict", "csp"}
    with reading(engine) as session:
        assert not read_stages(session, campaign)[0].closed


def test_file_that_is_still_being_read_is_screened_in_whole_chunks(
    settings: Settings, engine: Engine, mailbox: Mailbox
) -> None:
    campaign = campaign_of(engine, 0, top=None)
    with transaction(engine) as session:
        set_source_size(session, campaign, None)  # type: ignore[arg-type]
        add_slice(session, campaign, Slice(0, tuple(f"Cu{n}S" for n in range(1, 1500))))
    leader = dispatcher("a", settings, engine, mailbox)
    leader.step(0)
    leader.step(1)
    assert [read_size(engine, chunk) for chunk in mailbox.take()] == [1024]
    with transaction(engine) as session:
        set_source_size(session, campaign, 1499)
    leader.step(2)
    leader.step(3)
    assert [read_size(engine, chunk) for chunk in mailbox.take()] == [475]


def test_one_leads_and_the_next_takes_over_after_a_silent_lease(
    settings: Settings, engine: Engine, mailbox: Mailbox
) -> None:
    campaign_of(engine, 10, top=None)
    first, second = (dispatcher(name, settings, engine, mailbox) for name in "ab")
    assert first.step(0) and not second.step(0.1)
    first.step(LEASE / 2)  # renews
    assert not second.step(LEASE / 2 + 0.1)
    assert not second.step(LEASE)
    assert second.step(2 * LEASE)
    assert mailbox.take() != []
    assert not first.step(2 * LEASE + 1), "the first has found out that another leads"
    second.stop()
    first.step(2 * LEASE + 2)
    with reading(engine) as session:
        assert read_leader(session).holder == "a", "who resigns need not be waited for"


def test_moves_of_a_lost_epoch_change_nothing(settings: Settings, engine: Engine, mailbox: Mailbox) -> None:
    campaign_of(engine, 10, top=None)
    first, second = (dispatcher(name, settings, engine, mailbox) for name in "ab")
    first.step(0)
    second.step(0)
    second.step(2 * LEASE)
    before = states(engine)
    sent = mailbox.take()
    first._renewed = 2 * LEASE  # it slept, and wakes without a look at the clock
    first.step(2 * LEASE + 0.1)
    assert states(engine) == before and mailbox.take() == [] and sent


def test_who_was_not_seen_was_not_silent(settings: Settings, engine: Engine, mailbox: Mailbox) -> None:
    """A database away for longer than a lease takes no chunk from a worker that lives."""
    campaign_of(engine, 10, top=None)
    leader = dispatcher("a", settings, engine, mailbox)
    with transaction(engine) as session:
        join(session, "w", True, ["predict"], 0)
    leader.step(0)
    leader.step(1)
    [chunk_id] = mailbox.take()
    with transaction(engine) as session:
        assert claim_chunk(session, chunk_id, "w", 0)
        beat(session, "w", [(chunk_id, 1)])
    leader.step(2)
    leader.lose_sight()
    leader.step(2 + 3 * LEASE)
    assert states(engine) == [ChunkState.RUNNING]
    leader.step(2 + 5 * LEASE)
    assert states(engine) != [ChunkState.RUNNING], "silent for a lease in full sight"


def test_broker_that_is_down_costs_a_round(settings: Settings, engine: Engine, mailbox: Mailbox) -> None:
    campaign_of(engine, 10, top=None)
    leader = dispatcher("a", settings, engine, mailbox)
    mailbox.down = True
    leader.step(0)
    leader.step(1)
    assert states(engine) == [ChunkState.QUEUED]
    mailbox.down = False
    leader.step(2)
    assert len(mailbox.take()) == 1


def test_chunk_of_a_worker_that_ended_comes_back_at_once_and_its_late_writer_is_fenced(
    settings: Settings, engine: Engine, mailbox: Mailbox
) -> None:
    campaign_of(engine, 10, top=None)
    leader = dispatcher("a", settings, engine, mailbox)
    with transaction(engine) as session:
        join(session, "w", True, ["predict"], 0)
    leader.step(0)
    leader.step(1)
    [chunk_id] = mailbox.take()
    with transaction(engine) as session:
        late = claim_chunk(session, chunk_id, "w", 0)
        report_exit(session, "w", unplanned=True)
    assert late is not None
    leader.step(2)
    leader.step(3)
    assert mailbox.take() == [chunk_id]
    with reading(engine) as session:
        again = read_chunk(session, chunk_id)
    assert (again.crashes, again.alone, again.attempt) == (1, True, 1)
    with pytest.raises(LostFence), transaction(engine) as session:
        finish_chunk(session, Finished(chunk_id, 1, Counts(10, 10), "0" * 16, Ledger(0, 0, 0)), 0)


def test_chunk_that_keeps_raising_is_halved_down_to_its_culprit(
    settings: Settings, engine: Engine, mailbox: Mailbox
) -> None:
    campaign = campaign_of(engine, 4, top=None)
    leader, now = dispatcher("a", settings, engine, mailbox), 0.0
    while read(engine, campaign) != CampaignState.DONE:
        now += 1
        assert now < 100
        leader.step(now)
        for chunk_id in mailbox.take():
            with reading(engine) as session:
                chunk = read_chunk(session, chunk_id)
            if chunk.stage == StageName.PREDICT and (chunk.start or 0) <= 2 < (chunk.stop or 0):
                with transaction(engine) as session:
                    claimed = claim_chunk(session, chunk_id, "w", 0)
                    release_chunk(session, chunk_id, claimed.attempt if claimed else 0, "ValueError: poison")
            else:
                finish(engine, chunk_id, keep=9)
    assert sorted(states(engine)) == ["done", "done", "failed", "split", "split"]


def test_paused_campaign_keeps_still(settings: Settings, engine: Engine, mailbox: Mailbox) -> None:
    campaign = campaign_of(engine, 10, top=None)
    leader = dispatcher("a", settings, engine, mailbox)
    leader.step(0)
    leader.step(1)
    pause_campaign(engine, campaign)
    assert finish(engine, mailbox.take()[0], keep=1) is None, "the claim looks at the campaign"
    leader.step(2)
    leader.step(3)
    assert (states(engine), mailbox.take()) == ([ChunkState.WAITING], [])
    resume_campaign(engine, campaign)
    leader.step(4)
    assert len(mailbox.take()) == 1


def test_each_living_worker_widens_the_window(settings: Settings, engine: Engine) -> None:
    with transaction(engine) as session:
        for name, queues in (("a", ["predict", "csp"]), ("b", ["predict"]), ("c", ["predict"])):
            join(session, name, False, queues, 0)
            beat(session, name, [])
        report_exit(session, "c", unplanned=False)
    with reading(engine) as session:
        limits = limits_for(snapshot(session), LEASE)
    assert limits[StageName.PREDICT].in_flight == 8
    assert limits[StageName.CSP].in_flight == 3


def read(engine: Engine, campaign: int) -> CampaignState:
    with reading(engine) as session:
        return read_campaign(session, campaign).state


def read_size(engine: Engine, chunk: int) -> int:
    with reading(engine) as session:
        return read_chunk(session, chunk).size


def states(engine: Engine, stage: StageName = StageName.PREDICT) -> list[str]:
    with reading(engine) as session:
        return list(session.scalars(select(ChunkTable.state).where(ChunkTable.stage == stage).order_by(ChunkTable.id)))
