from storage.states import CAMPAIGN_MOVES, CHUNK_MOVES, OPEN_STATES, CampaignState, ChunkState, leaving


def test_every_state_has_its_moves() -> None:
    assert set(CHUNK_MOVES) == set(ChunkState)
    assert set(CAMPAIGN_MOVES) == set(CampaignState)


def test_what_has_ended_stays_so() -> None:
    assert set(ChunkState) - set(OPEN_STATES) == {
        ChunkState.DONE,
        ChunkState.FAILED,
        ChunkState.SPLIT,
        ChunkState.CANCELLED,
    }


def test_results_come_only_from_a_running_attempt() -> None:
    assert leaving(ChunkState.DONE) == (ChunkState.RUNNING,)
    assert leaving(ChunkState.RUNNING) == (ChunkState.QUEUED,)


def test_every_open_chunk_can_reach_its_end() -> None:
    for state in OPEN_STATES:
        reached = {state}
        for _ in ChunkState:
            reached |= {to for origin in reached for to in CHUNK_MOVES[origin]}
        assert ChunkState.DONE in reached
