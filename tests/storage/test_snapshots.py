from storage.campaigns import move_campaign
from storage.chunks import NewChunk
from storage.engine import reading, transaction
from storage.heartbeats import join
from storage.snapshots import snapshot
from storage.states import CampaignState, ChunkState, StageName


def test_the_picture_shows_what_is_in_flight_and_what_waits_first(yard) -> None:
    yard.add(*(NewChunk(10 * place, 10 * place + 10) for place in range(5)))
    yard.finish(yard.run())
    running = yard.run(worker="w7")
    with transaction(yard.engine) as session:
        join(session, "w7", supervised=True, queues=["predict"], now=1.0)
    with reading(yard.engine) as session:
        picture = snapshot(session, heads=2)
    predict = picture.campaigns[0].stages[0]
    assert predict.counts == {ChunkState.DONE: 1, ChunkState.RUNNING: 1, ChunkState.WAITING: 3}
    assert [(chunk.id, chunk.worker_id) for chunk in predict.active] == [(running.id, "w7")]
    assert [chunk.ordinal for chunk in predict.waiting] == [2, 3]
    assert predict.undrained == 1
    assert [beat.worker_id for beat in picture.beats] == ["w7"]
    assert picture.leader.epoch == yard.epoch
    assert [view.stage.name for view in picture.campaigns[0].stages] == list(StageName)


def test_an_ended_campaign_is_seen_only_while_chunks_are_open(yard) -> None:
    yard.add(NewChunk(0, 10))
    chunk = yard.run()
    with transaction(yard.engine) as session:
        move_campaign(session, yard.campaign_id, CampaignState.FAILED, 1.0)
    with reading(yard.engine) as session:
        assert [view.state for view in snapshot(session).campaigns] == [CampaignState.FAILED]
    yard.finish(chunk)
    with reading(yard.engine) as session:
        assert snapshot(session).campaigns == ()
