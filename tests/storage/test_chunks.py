from dataclasses import replace

import pytest

from storage.chunks import Cut, NewChunk, add_chunks, read_chunk
from storage.engine import reading, transaction
from storage.errors import NotFound, StorageError
from storage.members import undrained_chunks
from storage.states import ChunkState, StageName


def test_chunks_come_with_the_cursor_and_only_once(yard) -> None:
    cut = Cut(yard.campaign_id, StageName.PREDICT, 0, 20, (NewChunk(0, 10), NewChunk(10, 20)))
    with transaction(yard.engine) as session:
        assert add_chunks(session, yard.epoch, cut)
        assert not add_chunks(session, yard.epoch, cut)
        assert not add_chunks(session, yard.epoch - 1, replace(cut, cursor=20, next_cursor=40))
    stage = yard.stage()
    assert stage.stage.cursor == 20
    assert stage.counts == {ChunkState.WAITING: 2}
    assert [chunk.ordinal for chunk in stage.waiting] == [0, 1]


def test_an_exhausted_stage_takes_no_more(yard) -> None:
    yard.add(NewChunk(0, 10), exhausted=True)
    cut = Cut(yard.campaign_id, StageName.PREDICT, 10, 20, (NewChunk(10, 20),))
    with transaction(yard.engine) as session:
        assert not add_chunks(session, yard.epoch, cut)


def test_survivors_go_on_once(yard) -> None:
    yard.add(NewChunk(0, 10))
    done = yard.run()
    yard.finish(done)
    cut = Cut(yard.campaign_id, StageName.CSP, 0, 0, (), drained=(done.id,))
    with transaction(yard.engine) as session:
        assert undrained_chunks(session, yard.campaign_id, StageName.PREDICT, 9) == [done.id]
        assert add_chunks(session, yard.epoch, cut)
        assert undrained_chunks(session, yard.campaign_id, StageName.PREDICT, 9) == []
    with pytest.raises(StorageError), transaction(yard.engine) as session:
        add_chunks(session, yard.epoch, cut)


def test_a_chunk_keeps_its_formulas(yard) -> None:
    yard.add(NewChunk(formulas=("CsPbI3", "KCl")), stage=StageName.CSP)
    (view,) = yard.stage(StageName.CSP).waiting
    with reading(yard.engine) as session:
        assert read_chunk(session, view.id).formulas == ("CsPbI3", "KCl")
        with pytest.raises(NotFound):
            read_chunk(session, view.id + 1)
