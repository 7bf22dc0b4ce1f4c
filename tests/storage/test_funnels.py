from storage.candidates import NewCandidate
from storage.chunks import NewChunk
from storage.engine import reading, transaction
from storage.funnels import funnel
from storage.moves import Counts, fail_chunk, split_chunk
from storage.states import ChunkState


def test_nothing_vanishes_on_the_way(yard) -> None:
    yard.add(*(NewChunk(10 * place, 10 * place + 10) for place in range(4)))
    yard.finish(yard.run(), [NewCandidate("CsI", ("Cs", "I"), 1.0, {})])
    with transaction(yard.engine) as session:
        ids = [chunk.id for chunk in yard.stage().waiting]
        assert fail_chunk(session, yard.epoch, ids[0], "gave up", 9.0, [f"Cs{n}I" for n in range(10)])
        assert split_chunk(session, yard.epoch, ids[1], "crashed twice", 9.0)
    with reading(yard.engine) as session:
        predict, csp, *_ = funnel(session, yard.campaign_id)
    assert predict.counts == Counts(20, survived=1, rejected=9, failed=10)
    assert predict.chunks == {ChunkState.DONE: 1, ChunkState.FAILED: 1, ChunkState.SPLIT: 1, ChunkState.WAITING: 3}
    assert (predict.cursor, predict.source_size, predict.compute_seconds) == (40, 10_000, 0.2)
    assert predict.rate == 20 / (9.0 - 2.0)
    assert (csp.counts, csp.chunks, csp.rate) == (Counts(0), {}, None)
