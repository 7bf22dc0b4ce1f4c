"""Sets of references from a file to a judged candidate: which are used, which hull, what is known."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pymatgen.core import Lattice, Structure
from sqlalchemy import Engine

import scheduler.references as references
from scheduler.campaigns import create_campaign
from scheduler.errors import InvalidSpec
from scheduler.flow import Role
from scheduler.pools import Ask
from scheduler.spec import CampaignSpec, parse_spec
from scheduler.stages import comparison, judge
from scheduler.stages.outcome import Order
from storage.chunks import Chunk
from storage.engine import open_database, reading, transaction
from storage.models import campaign_models
from storage.profiles import read_profile
from storage.references import Finding, NewSet, campaign_sets, named_sets
from storage.states import ChunkState, StageName
from storage.tables import CandidateTable, StructureTable
from workers.crystals import Crystal, from_structure, rounded, to_structure
from workers.errors import InvalidFile
from workers.models import find_card
from workers.pool import Failure
from workers.properties import Predicted
from workers.reference_scales import ENERGY, HULL
from workers.references import Flawed, match

FORMATION = {"NaCl": -2.0, "Na": 0.0, "Cl": 0.0, "KCl": -2.2}
ATOMS = {"Na": -1.3, "Cl": -1.8, "K": -1.1}


class Chemist:
    """Knows the formation energies of a few formulas."""

    def predict(self, crystals: Sequence[Crystal]) -> list[Predicted]:
        return [{ENERGY: (FORMATION[crystal.formula.rstrip("2")], 0.02)} for crystal in crystals]


class Judges:
    """Answers what the structure model answers about crystals."""

    predicted = {ENERGY: (-1.7, 0.02), HULL: (7.0, 7.0)}

    def ask(self, question: Ask, items: Sequence[Any]) -> list[object]:
        assert question.role == Role.STRUCTURE
        return list(match(items)) if question.method == "match" else [self.predicted for _ in items]


def salt(cation: str = "Na", edge: float = 5.69) -> Structure:
    return Structure.from_spacegroup(225, Lattice.cubic(edge), [cation, "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def crystal(structure: Structure) -> Crystal:
    return rounded(from_structure(structure))


def total(formula: str) -> float:
    symbols = [symbol for symbol in ATOMS if symbol in formula]
    return FORMATION[formula] + sum(ATOMS[symbol] for symbol in symbols) / len(symbols)


def entries() -> list[dict[str, object]]:
    cells = {"NaCl": salt(), "KCl": salt("K", 6.3)}
    cells |= {symbol: Structure(Lattice.cubic(4.0), [symbol], [[0, 0, 0]]) for symbol in ("Na", "Cl")}
    return [{"id": name, "structure": cell.as_dict(), "energy_per_atom": total(name)} for name, cell in cells.items()]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(str(tmp_path / "sluice.db"))


@pytest.fixture
def brought(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Flawed]]:
    """Import rows as a set; the predictor is a chemist."""
    monkeypatch.setattr(references, "load_model", lambda name, device: Chemist())

    def bring(name: str, rows: Sequence[object]) -> list[Flawed]:
        path, told = tmp_path / f"{name}.json", list[Flawed]()
        path.write_text(json.dumps(rows), encoding="utf-8")
        new = NewSet(name, "PBE", {"file": name})
        references.import_references(engine, path, new, told.append, lambda text: None)
        return told

    return bring


def spec(names: list[str] | None = None) -> CampaignSpec:
    tables = {"source": {"kind": "list", "formulas": ["NaCl"]}, "csp": {"structures": 1}}
    return parse_spec(tables if names is None else {**tables, "judge": {"references": names}}, "test")


def loaded(engine: Engine, campaign: int, *formulas: str) -> comparison.References:
    with reading(engine) as session:
        return comparison.load_references(session, campaign, formulas)


def test_what_is_imported_is_measured_and_bad_rows_are_told(engine: Engine, brought) -> None:
    twice, torn = entries()[0], {"id": "torn"}
    told = brought("mine", [*entries(), twice, torn])
    assert [flawed.place for flawed in told] == ["entry 5", "mine.json, entry 6 (torn)"]
    with reading(engine) as session:
        [held] = named_sets(session)
    scale = comparison.scale_of(held, find_card("structure-predictor").model_id)
    assert (held.entries, held.level, held.title) == (4, "PBE", "mine")
    assert scale is not None and scale.shifts == pytest.approx(ATOMS, abs=1e-3)
    assert comparison.scale_of(held, "another model") is None


def test_a_file_without_one_good_structure_makes_no_set(engine: Engine, brought) -> None:
    with pytest.raises(InvalidFile, match="none of its 1 entries"):
        brought("mine", [{"id": "torn"}])
    with reading(engine) as session:
        assert named_sets(session) == []


def test_a_campaign_keeps_the_sets_that_it_began_with(engine: Engine, brought) -> None:
    brought("mine", entries())
    campaign = create_campaign(engine, spec())
    brought("mine", entries()[:1])
    brought("other", entries()[:1])
    named, none, every = (create_campaign(engine, spec(names)) for names in (["mine"], [], None))
    with reading(engine) as session:
        used = {key: [(held.title, held.entries) for held in campaign_sets(session, key)] for key in (1, 2, 3, 4)}
    assert used == {campaign: [("mine", 4)], named: [("mine", 1)], none: [], every: [("other", 1), ("mine", 1)]}
    with pytest.raises(InvalidSpec, match="judge.references: 'absent' is no set of this database"):
        create_campaign(engine, spec(["absent"]))


def test_structures_are_put_on_the_hull_of_the_set_and_known_ones_named(engine: Engine, brought) -> None:
    brought("mine", entries())
    campaign = create_campaign(engine, spec())
    given = loaded(engine, campaign, "NaCl", "Na2Cl", "NaI")
    crystals = {
        "NaCl": crystal(to_structure(crystal(salt())) * (1, 1, 2)),
        "Na2Cl": Crystal(
            (5.0, 5.0, 5.0, 90.0, 90.0, 90.0), ("Na", "Na", "Cl"), ((0, 0, 0), (0.5, 0.5, 0), (0, 0.5, 0.5))
        ),
        "NaI": crystal(salt(edge=6.0)),
    }
    answers: dict[str, object] = {
        "NaCl": {ENERGY: (-1.9, 0.02), HULL: (7.0, 7.0)},
        "Na2Cl": {ENERGY: (-1.0, 0.02), HULL: (7.0, 7.0)},
        "NaI": {ENERGY: (-1.0, 0.02), HULL: (7.0, 7.0)},
    }
    placed, findings = comparison.compare(crystals, answers, given, Judges())  # type: ignore[arg-type]
    assert placed["NaCl"][HULL] == pytest.approx((0.1, 0.02), abs=1e-3)  # type: ignore[index]
    assert placed["Na2Cl"][HULL] == pytest.approx((1 / 3, 0.02), abs=1e-3)  # type: ignore[index]
    assert placed["NaI"] == answers["NaI"]
    assert findings == [
        Finding("NaCl", "mine/NaCl", "mine"), Finding("Na2Cl", "new", "mine"), Finding("NaI", "new", "estimate")
    ]  # fmt: skip


def test_what_the_judge_found_is_stored_with_set_and_model(engine: Engine, brought) -> None:
    brought("mine", entries())
    campaign = create_campaign(engine, spec())
    with transaction(engine) as session:
        row = CandidateTable(campaign_id=campaign, formula="NaCl", chemical_system="Cl-Na", nelements=2)
        session.add(row)
        session.flush()
        session.add(StructureTable(candidate_id=row.id, rank=0, sample=0, copies=1, crystal=crystal(salt()).to_dict(),
                                   nsites=8, relaxed=True))  # fmt: skip
    chunk = Chunk(
        id=1, campaign_id=campaign, stage=StageName.JUDGE, ordinal=0, start=None, stop=None, formulas=("NaCl",), size=1,
        state=ChunkState.RUNNING, attempt=1, errors=0, crashes=0, alone=False, worker_id="w", reason=None,
        resend_at=None,
    )  # fmt: skip
    order = Order(chunk, spec(), seed=0)
    with transaction(engine) as session:
        case = judge.load(session, order)
        outcome = judge.compute(order, case, Judges())  # type: ignore[arg-type]
        judge.record(session, order, outcome)
    with reading(engine) as session:
        profile = read_profile(session, "NaCl")
        [held] = campaign_sets(session, campaign)
    assert profile.predictions[HULL] == pytest.approx((0.3, 0.02), abs=1e-3)
    assert profile.known_structure == "mine/NaCl"
    assert profile.hull == {
        "references": "mine", "level": "PBE", "digest": held.digest,
        "model": find_card("structure-predictor").model_id,
    }  # fmt: skip


def test_another_structure_of_a_known_composition_is_new(engine: Engine, brought) -> None:
    brought("mine", entries())
    given = loaded(engine, create_campaign(engine, spec()), "NaCl")
    other = Crystal((3.6, 3.6, 3.6, 90.0, 90.0, 90.0), ("Na", "Cl"), ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5)))
    _, findings = comparison.compare({"NaCl": other}, {"NaCl": {HULL: (0.0, 0.1)}}, given, Judges())  # type: ignore[arg-type]
    assert findings == [Finding("NaCl", "new", "estimate")]  # its energy is unknown


def test_without_sets_the_estimate_stands_and_is_called_one(engine: Engine) -> None:
    given = loaded(engine, create_campaign(engine, spec()), "NaCl")
    answers: dict[str, object] = {"NaCl": {ENERGY: (-1.9, 0.02), HULL: (0.4, 0.1)}, "KCl": Failure("it died")}
    crystals = dict.fromkeys(answers, crystal(salt()))
    same, findings = comparison.compare(crystals, answers, given, Judges())  # type: ignore[arg-type]
    assert same == answers
    assert findings == [Finding("NaCl", None, "estimate"), Finding("KCl", None, None)]


def test_energies_of_a_set_count_only_for_the_model_that_they_were_measured_with(engine: Engine, brought) -> None:
    brought("mine", entries())
    campaign = create_campaign(engine, spec())
    with reading(engine) as session:
        assert campaign_models(session, campaign)[Role.STRUCTURE] == find_card("structure-predictor").model_id
        [held] = campaign_sets(session, campaign)
    assert loaded(engine, campaign, "NaCl").phases is not None
    with transaction(engine) as session:
        session.connection().exec_driver_sql("UPDATE reference_set SET scale = '{}'")
    assert loaded(engine, campaign, "NaCl").phases is None and held.scale
