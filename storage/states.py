"""The states of chunks and campaigns, and the moves between them."""

from enum import StrEnum


class ChunkState(StrEnum):
    """Where a chunk stands."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SPLIT = "split"
    CANCELLED = "cancelled"


class CampaignState(StrEnum):
    """Where a campaign stands."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    DONE = "done"
    FAILED = "failed"


class StageName(StrEnum):
    """The stages of a campaign, in the order of the funnel."""

    PREDICT = "predict"
    CSP = "csp"
    JUDGE = "judge"
    EXPLAIN = "explain"


CHUNK_MOVES: dict[ChunkState, frozenset[ChunkState]] = {
    ChunkState.WAITING: frozenset(
        {ChunkState.QUEUED, ChunkState.SPLIT, ChunkState.FAILED, ChunkState.CANCELLED},
    ),
    ChunkState.QUEUED: frozenset({ChunkState.QUEUED, ChunkState.RUNNING, ChunkState.WAITING, ChunkState.CANCELLED}),
    ChunkState.RUNNING: frozenset(
        {ChunkState.DONE, ChunkState.WAITING, ChunkState.SPLIT, ChunkState.FAILED, ChunkState.CANCELLED},
    ),
    ChunkState.DONE: frozenset(),
    ChunkState.FAILED: frozenset(),
    ChunkState.SPLIT: frozenset(),
    ChunkState.CANCELLED: frozenset(),
}

CAMPAIGN_MOVES: dict[CampaignState, frozenset[CampaignState]] = {
    CampaignState.RUNNING: frozenset(set(CampaignState) - {CampaignState.RUNNING}),
    CampaignState.PAUSED: frozenset({CampaignState.RUNNING, CampaignState.CANCELLED}),
    CampaignState.FAILED: frozenset({CampaignState.RUNNING}),
    CampaignState.CANCELLED: frozenset(),
    CampaignState.DONE: frozenset(),
}

PRIORITY = 10  # of a campaign that was given none
MOST_PRIORITY = 100
STAGE_ORDER: dict[StageName, int] = {name: ordinal for ordinal, name in enumerate(StageName)}
OPEN_STATES: tuple[ChunkState, ...] = tuple(state for state, moves in CHUNK_MOVES.items() if moves)


def leaving(to: ChunkState) -> tuple[ChunkState, ...]:
    """The states from which a chunk may move there."""
    return tuple(state for state, moves in CHUNK_MOVES.items() if to in moves)
