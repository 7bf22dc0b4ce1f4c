"""A database as a finished campaign leaves it, and the command line run in this process."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api.cli import run
from storage.campaigns import NewCampaign, create_campaign, move_campaign
from storage.candidates import Judgement, NewCandidate, record_candidates, record_judgements
from storage.chunks import Cut, NewChunk, add_chunks
from storage.engine import open_database, transaction
from storage.explanations import NewExplanation, record_explanations
from storage.failures import NewFailure, record_failures
from storage.leader import read_leader, take_leadership
from storage.moves import Counts, Finished, Ledger, claim_chunk, finish_chunk, queue_chunk
from storage.snapshots import snapshot
from storage.sources import Slice, add_slice
from storage.stages import close_stage
from storage.states import CampaignState, StageName
from storage.structures import NewStructure, record_structures
from workers.compositions import parse_formula
from workers.crystals import Crystal

GAPS = {"BaTe": 1.6, "CdTe": 1.4333333333333333, "CsPbI3": 1.7, "GaAs": 1.2, "Fe0.62C0.38": 1.05}
HULLS = {"BaTe": 0.02, "CdTe": 0.01, "CsPbI3": 0.03, "GaAs": 0.0, "Fe0.62C0.38": 0.09}
STAGES = (StageName.PREDICT, StageName.CSP, StageName.EXPLAIN)


@dataclass(frozen=True)
class Done:
    """What a command wrote and its status."""

    status: int
    stdout: str
    stderr: str


Sluice = Callable[..., Done]


@pytest.fixture
def sluice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sluice:
    """Run a command line in this process, in an empty folder."""
    monkeypatch.delenv("SLUICE_DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        return Done(status, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def screened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a finished campaign; nobody writes to it."""
    path = tmp_path_factory.mktemp("screened") / "screened.db"
    engine = open_database(str(path))
    fill(engine)
    engine.dispose()
    return path


@pytest.fixture
def database(screened: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copy(screened, tmp_path / "copy.db"))


def fill(engine: Engine) -> int:
    """Run a campaign by hand: five survivors of eight lines, two with structures and an explanation."""
    spec = {"source": {"kind": "file", "path": "formulas.csv"}, "csp": {"top": 2}, "explain": {"top": 2}}
    new = NewCampaign("tellurides", spec, 7, "0.1.0", STAGES, source_size=6)
    with transaction(engine) as session:
        campaign_id = create_campaign(session, new, now=100.0)
        epoch = take_leadership(session, "dispatcher", read_leader(session))
        add_slice(session, campaign_id, Slice(0, (*GAPS, "NaCl"), invalid=1, duplicate=1))
        bad = NewFailure(
            StageName.PREDICT, "Xx2O", "formulas.csv, line 7", "invalid", "'Xx' is not an element of H to Lr"
        )
        record_failures(session, campaign_id, [bad])
    assert epoch is not None
    best = ("GaAs", "CdTe")
    _work(engine, epoch, campaign_id, StageName.PREDICT, tuple(GAPS) + ("NaCl",), tuple(GAPS))
    _work(engine, epoch, campaign_id, StageName.CSP, best, best)
    _work(engine, epoch, campaign_id, StageName.EXPLAIN, best, best)
    with transaction(engine) as session:
        assert move_campaign(session, campaign_id, CampaignState.DONE, now=200.0)
    return campaign_id


def zincblende(first: str, second: str) -> Crystal:
    """A primitive cell of two atoms."""
    return Crystal((4.3, 4.3, 4.3, 60.0, 60.0, 60.0), (first, second), ((0.0, 0.0, 0.0), (0.25, 0.25, 0.25)))


def _work(
    engine: Engine, epoch: int, campaign_id: int, stage: StageName, formulas: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    cut = Cut(campaign_id, stage, 0, len(formulas), (NewChunk(formulas=formulas),), exhausted=True)
    with transaction(engine) as session:
        assert add_chunks(session, epoch, cut)
    with transaction(engine) as session:
        (campaign,) = snapshot(session).campaigns
        chunk_id = next(view for view in campaign.stages if view.stage.name == stage).waiting[0].id
        assert queue_chunk(session, epoch, chunk_id, resend_at=200.0, now=110.0)
        chunk = claim_chunk(session, chunk_id, "worker", now=110.0)
        assert chunk is not None
        counts = Counts(len(formulas), survived=len(kept), rejected=len(formulas) - len(kept))
        finish_chunk(session, Finished(chunk_id, chunk.attempt, counts, "0" * 16, Ledger(0.1, 1.0, 0.1)), now=112.0)
        RECORDERS[stage](session, campaign_id, chunk_id, kept)
        assert close_stage(session, epoch, campaign_id, stage)


def _candidates(session: Session, campaign_id: int, chunk_id: int, formulas: tuple[str, ...]) -> None:
    rows = [
        NewCandidate(
            formula,
            parse_formula(formula).elements,
            -HULLS[formula],
            {"band_gap": (GAPS[formula], 0.2), "e_above_hull": (HULLS[formula], 0.05)},
        )
        for formula in formulas
    ]
    assert len(record_candidates(session, campaign_id, chunk_id, rows)) == len(rows)


def _structures(session: Session, campaign_id: int, chunk_id: int, formulas: tuple[str, ...]) -> None:
    cells = {"GaAs": zincblende("Ga", "As"), "CdTe": zincblende("Cd", "Te")}
    rows = [
        NewStructure(formula, rank, rank, cells[formula].to_dict(), 216, 2, -3.5, -3.1 + rank, relaxed=rank == 0)
        for formula in formulas
        for rank in range(2)
    ]
    record_structures(session, campaign_id, rows)
    judged = {"structure_band_gap": (1.3, 0.3), "structure_density": (5.3, None)}
    record_judgements(session, campaign_id, [Judgement(formula, "keep", None, judged) for formula in formulas])


def _explanations(session: Session, campaign_id: int, chunk_id: int, formulas: tuple[str, ...]) -> None:
    rows = [
        NewExplanation(formula, "band_gap", "k-SII", 2, 1.0, GAPS[formula], _interactions(formula))
        for formula in formulas
    ]
    record_explanations(session, campaign_id, rows)


def _interactions(formula: str) -> list[tuple[list[str], float]]:
    first, second = parse_formula(formula).elements
    rest = GAPS[formula] - 1.0
    return [([first], rest + 0.7), ([second], -0.9), ([first, second], 0.2)]


RECORDERS: Mapping[StageName, Callable[[Session, int, int, tuple[str, ...]], None]] = {
    StageName.PREDICT: _candidates,
    StageName.CSP: _structures,
    StageName.EXPLAIN: _explanations,
}
