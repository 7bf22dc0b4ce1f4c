from concurrent.futures import ThreadPoolExecutor

import pytest

from storage.campaigns import move_campaign
from storage.candidates import NewCandidate, record_candidates
from storage.chunks import Chunk, NewChunk, read_chunk
from storage.engine import reading, transaction
from storage.errors import LostFence
from storage.failures import read_failures
from storage.leader import read_leader, take_leadership
from storage.moves import (
    Counts,
    Expiry,
    Finished,
    Ledger,
    cancel_chunks,
    claim_chunk,
    expire_chunk,
    fail_chunk,
    finish_chunk,
    queue_chunk,
    release_chunk,
    resend_chunk,
    split_chunk,
    unqueue_chunk,
)
from storage.queries import Query, query
from storage.snapshots import ChunkView
from storage.states import CampaignState, ChunkState, StageName

ROW = NewCandidate("CsPbI3", ("Cs", "I", "Pb"), 0.5, {"band_gap": (1.5, 0.1)})


def now(yard, chunk_id: int) -> Chunk:
    with reading(yard.engine) as session:
        return read_chunk(session, chunk_id)


def only(yard) -> ChunkView:
    yard.add(NewChunk(0, 10))
    (chunk,) = yard.stage().waiting
    return chunk


def finished(chunk: Chunk) -> Finished:
    return Finished(chunk.id, chunk.attempt, Counts(10, survived=1, rejected=9), "0" * 16, Ledger(0.1, 0.2, 0.3))


def expire(yard, chunk: Chunk, epoch: int | None = None, crashed: bool = False) -> bool:
    expiry = Expiry("lease over", crashed=crashed, alone=crashed)
    with transaction(yard.engine) as session:
        return expire_chunk(session, epoch or yard.epoch, chunk.id, chunk.attempt, expiry)


def test_a_chunk_goes_from_waiting_to_done(yard) -> None:
    yard.add(NewChunk(0, 10))
    chunk = yard.run()
    assert (chunk.state, chunk.attempt, chunk.worker_id) == (ChunkState.RUNNING, 1, "worker-1")
    assert yard.finish(chunk, [ROW]) == ["CsPbI3"]
    assert now(yard, chunk.id).state == ChunkState.DONE


def test_only_one_of_many_workers_gets_a_chunk(yard) -> None:
    chunk = only(yard)
    with transaction(yard.engine) as session:
        queue_chunk(session, yard.epoch, chunk.id, 60.0, 1.0)

    def claim(worker: str) -> Chunk | None:
        with transaction(yard.engine) as session:
            return claim_chunk(session, chunk.id, worker, 2.0)

    with ThreadPoolExecutor(4) as pool:
        claims = list(pool.map(claim, ["a", "b", "c", "d"]))
    (winner,) = [claimed for claimed in claims if claimed]
    assert now(yard, chunk.id).worker_id == winner.worker_id


def test_a_late_attempt_stores_nothing(yard) -> None:
    yard.add(NewChunk(0, 10))
    late = yard.run()
    assert expire(yard, late)
    again = yard.run(worker="worker-2")
    assert again.attempt == late.attempt + 1
    with pytest.raises(LostFence):
        yard.finish(late, [ROW])
    with reading(yard.engine) as session:
        assert list(query(session, Query())) == []
    yard.finish(again, [ROW])
    with pytest.raises(LostFence):
        yard.finish(again, [ROW])


def test_two_writers_of_one_chunk_store_it_once(yard) -> None:
    yard.add(NewChunk(0, 10))
    chunk = yard.run()

    def record(_: int) -> bool:
        try:
            with transaction(yard.engine) as session:
                finish_chunk(session, finished(chunk), 3.0)
                record_candidates(session, yard.campaign_id, chunk.id, [ROW])
        except LostFence:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(record, range(4))) == [False, False, False, True]
    with reading(yard.engine) as session:
        assert len(list(query(session, Query()))) == 1


def test_a_claim_asks_whether_the_campaign_runs(yard) -> None:
    chunk = only(yard)
    with transaction(yard.engine) as session:
        queue_chunk(session, yard.epoch, chunk.id, 60.0, 1.0)
        assert move_campaign(session, yard.campaign_id, CampaignState.PAUSED, 2.0)
        assert claim_chunk(session, chunk.id, "worker-1", 3.0) is None
        assert unqueue_chunk(session, yard.epoch, chunk.id)
        assert not queue_chunk(session, yard.epoch, chunk.id, 60.0, 4.0)
    assert now(yard, chunk.id).state == ChunkState.WAITING


def test_what_was_running_when_the_campaign_paused_may_end(yard) -> None:
    yard.add(NewChunk(0, 10))
    chunk = yard.run()
    with transaction(yard.engine) as session:
        assert move_campaign(session, yard.campaign_id, CampaignState.PAUSED, 2.0)
    yard.finish(chunk, [ROW])
    assert now(yard, chunk.id).state == ChunkState.DONE


def test_a_chunk_is_queued_once_and_sent_again_often(yard) -> None:
    chunk = only(yard)
    with transaction(yard.engine) as session:
        assert not resend_chunk(session, yard.epoch, chunk.id, 30.0)
        assert queue_chunk(session, yard.epoch, chunk.id, 60.0, 1.0)
        assert not queue_chunk(session, yard.epoch, chunk.id, 90.0, 1.0)
        assert resend_chunk(session, yard.epoch, chunk.id, 120.0)
    assert now(yard, chunk.id).resend_at == 120.0


def test_an_error_gives_the_chunk_back_with_its_reason(yard) -> None:
    yard.add(NewChunk(0, 10))
    chunk = yard.run()
    with transaction(yard.engine) as session:
        assert release_chunk(session, chunk.id, chunk.attempt, "ValueError: no")
        assert not release_chunk(session, chunk.id, chunk.attempt, "ValueError: no")
    back = now(yard, chunk.id)
    assert (back.state, back.errors, back.crashes, back.reason) == (ChunkState.WAITING, 1, 0, "ValueError: no")


def test_only_a_seen_crash_counts(yard) -> None:
    yard.add(NewChunk(0, 10))
    first = yard.run()
    expire(yard, first)
    assert (now(yard, first.id).crashes, now(yard, first.id).alone) == (0, False)
    second = yard.run()
    expire(yard, second, crashed=True)
    assert (now(yard, first.id).crashes, now(yard, first.id).alone) == (1, True)


def test_a_leader_of_the_past_moves_nothing(yard) -> None:
    chunk = only(yard)
    with transaction(yard.engine) as session:
        epoch = take_leadership(session, "dispatcher-2", read_leader(session))
        old = yard.epoch
        assert not queue_chunk(session, old, chunk.id, 60.0, 1.0)
        assert not split_chunk(session, old, chunk.id, "", 1.0)
        assert not fail_chunk(session, old, chunk.id, "", 1.0, ["CsI"])
        assert queue_chunk(session, epoch, chunk.id, 60.0, 1.0)
        assert not resend_chunk(session, old, chunk.id, 90.0)
        assert not unqueue_chunk(session, old, chunk.id)
        claimed = claim_chunk(session, chunk.id, "worker-1", 2.0)
    assert not expire(yard, claimed)
    assert expire(yard, claimed, epoch)


@pytest.mark.parametrize("new", [NewChunk(20, 25), NewChunk(formulas=("A", "B", "C", "D", "E"))])
def test_halves_hold_what_their_parent_held(yard, new: NewChunk) -> None:
    yard.add(new)
    parent = yard.run()
    with transaction(yard.engine) as session:
        assert split_chunk(session, yard.epoch, parent.id, "killed its process twice", 5.0)
        assert not split_chunk(session, yard.epoch, parent.id, "killed its process twice", 5.0)
    assert now(yard, parent.id).state == ChunkState.SPLIT
    with reading(yard.engine) as session:
        left, right = (read_chunk(session, view.id) for view in yard.stage().waiting)
    assert (left.size, right.size, left.ordinal, right.ordinal) == (2, 3, parent.ordinal, parent.ordinal)
    if new.formulas is None:
        assert (left.start, left.stop, right.start, right.stop) == (20, 22, 22, 25)
    else:
        assert (left.formulas or ()) + (right.formulas or ()) == new.formulas
    with pytest.raises(LostFence):
        yard.finish(parent)


def test_a_single_input_is_never_split(yard) -> None:
    yard.add(NewChunk(3, 4))
    chunk = yard.run()
    with transaction(yard.engine) as session:
        assert not split_chunk(session, yard.epoch, chunk.id, "", 5.0)
    assert now(yard, chunk.id).state == ChunkState.RUNNING


def test_what_is_given_up_counts_and_says_why(yard) -> None:
    yard.add(NewChunk(3, 4))
    yard.add(NewChunk(formulas=("CsPbI3", "KCl")), stage=StageName.CSP)
    with transaction(yard.engine) as session:
        for name, formulas in ((StageName.PREDICT, ["NaCl"]), (StageName.CSP, ["CsPbI3", "KCl"])):
            chunk = yard.stage(name).waiting[0]
            assert fail_chunk(session, yard.epoch, chunk.id, "out of memory", 5.0, formulas)
            assert not fail_chunk(session, yard.epoch, chunk.id, "out of memory", 5.0, formulas)
    with reading(yard.engine) as session:
        failures = read_failures(session, yard.campaign_id, 10)
    assert [(row.formula, row.place) for row in failures] == [("NaCl", "source 3"), ("CsPbI3", ""), ("KCl", "")]
    assert {row.reason for row in failures} == {"out of memory"}


def test_cancelled_work_is_not_stored(yard) -> None:
    yard.add(NewChunk(0, 10), NewChunk(10, 20), NewChunk(20, 30))
    yard.finish(yard.run())
    running = yard.run()
    with transaction(yard.engine) as session:
        assert move_campaign(session, yard.campaign_id, CampaignState.CANCELLED, 2.0)
        assert cancel_chunks(session, yard.campaign_id) == 2
    with pytest.raises(LostFence):
        yard.finish(running, [ROW])


def test_counts_must_add_up() -> None:
    with pytest.raises(ValueError, match="10 inputs, but 9 ends"):
        Counts(10, survived=1, rejected=8)
