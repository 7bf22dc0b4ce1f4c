"""What a model proposes by itself, and what it does when steered, on hand-made crystals whose figures are known."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymatgen.core import Element, Lattice, Structure

from workers.cards import Card
from workers.crystals import Crystal, from_arrays, from_structure
from workers.generator.evaluation.benchmarks import held_out
from workers.generator.evaluation.denovo import Proposals, denovo, is_valid
from workers.generator.evaluation.desk import Desk
from workers.generator.evaluation.relaxed import moved, relaxation
from workers.generator.evaluation.steering import Drill, conditions, errors, exactness
from workers.generator.requests import CrystalRequest, Generated
from workers.training.evaluate import main


def rocksalt(first: str, second: str, edge: float) -> Crystal:
    cell = Structure.from_spacegroup(225, Lattice.cubic(edge), [first, second], [[0] * 3, [0.5] * 3])
    return from_structure(cell.get_primitive_structure())


SALT, MAGNESIA, LIME = rocksalt("Na", "Cl", 5.6), rocksalt("Mg", "O", 4.2), rocksalt("Ca", "O", 4.8)
PRESSED = from_structure(Structure(Lattice.cubic(3.4), ["Na", "Cl"], [[0] * 3, [0.5] * 3]))


class FakeGenerator:
    """Answers each request by a function of it."""

    card = Card("fake", "crystal-generator", "0", {}, 1)

    def __init__(self, answer: Callable[[int, CrystalRequest], Crystal | None]) -> None:
        self.answer = answer
        self.asked = 0

    def generate(self, requests: Sequence[CrystalRequest]) -> list[Generated]:
        numbers = range(self.asked, self.asked + len(requests))
        self.asked += len(requests)
        return [
            Generated(crystal, -1.0, None, -1.0) if (crystal := self.answer(number, request)) else Generated(None, -1.0)
            for number, request in zip(numbers, requests, strict=True)
        ]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [
        {
            "formula": crystal.formula,
            "split": split,
            "lattice": list(crystal.lattice),
            "species": [Element(symbol).Z for symbol in crystal.species],
            "frac_coords": [x for coords in crystal.coords for x in coords],
        }
        for crystal, split in ((SALT, "train"), (MAGNESIA, "test"), (PRESSED, "test"))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "mp20.parquet")
    return tmp_path


def test_proposals_are_counted(data: Path, tmp_path: Path) -> None:
    """Of eight: two none or broken, NaCl known to train, MgO known elsewhere, CaO new; one each a repeat."""
    broken = from_arrays([3.0, 3.0, 3.0, 90.0, 90.0, 90.0], ["Na", "Cl"], np.array([[0, 0, 0], [0, 0, 0.1]]))
    crystals = [None, broken, SALT, rocksalt("Na", "Cl", 5.7), MAGNESIA, MAGNESIA, LIME, LIME]
    generator = FakeGenerator(lambda number, request: crystals[number] if request.formula is None else None)
    asked = Proposals(samples=8, relaxed=2, steps=2)
    figures = denovo(generator, data, asked, Desk(tmp_path / "a", processes=1), "cpu")
    shares = {name: figures[name] for name in ("valid", "unique", "new_to_mp20_train", "new_to_all_known")}
    assert shares == {"valid": 75.0, "unique": 37.5, "new_to_mp20_train": 25.0, "new_to_all_known": 12.5}
    relaxed = figures["relaxation"]
    assert (relaxed["n"], relaxed["failed"]) == (2, 0)
    assert relaxed["energy_drop"]["mean"] >= 0
    assert relaxed["rmsd"]["mean"] == pytest.approx(0, abs=1e-3)  # by symmetry no site can move
    assert 0.5 < relaxed["volume_ratio"]["mean"] < 2


def test_validity_is_that_of_the_field() -> None:
    assert is_valid(SALT)
    assert not is_valid(from_arrays([3.0, 3.0, 3.0, 90.0, 90.0, 90.0], ["Na", "Na"], np.array([[0] * 3, [0, 0, 0.1]])))
    assert not is_valid(from_arrays([0.4, 0.4, 0.4, 90.0, 90.0, 90.0], ["Na"], np.zeros((1, 3))))


def test_what_moves_is_counted_without_shift_and_strain() -> None:
    cell = [4.0, 4.0, 4.0, 90.0, 90.0, 90.0]
    before = from_arrays(cell, ["Na", "Cl"], np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]))
    shifted = from_arrays([4.4, *cell[1:]], ["Na", "Cl"], np.array([[0.9, 0, 0], [0.4, 0.5, 0.5]]))
    stretched = from_arrays(cell, ["Na", "Cl"], np.array([[0.0, 0, 0], [0.6, 0.5, 0.5]]))
    assert moved(before, shifted) == pytest.approx(0)
    assert moved(before, stretched) == pytest.approx(0.2)  # 0.4 Å between the two, half of it each


def test_nothing_relaxed_is_no_mistake() -> None:
    assert relaxation([{"flaw": "no cell"}]) == {"n": 0}


def test_formula_and_space_group_are_met_or_not(data: Path) -> None:
    targets = held_out(data, 0)
    wanted = [target.crystal for target in targets]
    assert exactness(targets, wanted) == {"n": 2, "formula": 100.0, "space_group": 100.0}
    assert exactness(targets, [None, SALT]) in (
        {"n": 2, "formula": 50.0, "space_group": 0.0},  # salt asked for as pressed salt
        {"n": 2, "formula": 0.0, "space_group": 50.0},  # salt instead of magnesia
    )


def test_errors_are_absolute_and_relative() -> None:
    assert errors([1.0, 4.0], 2.0) == {"n": 2, "error": 1.5, "relative_error": 0.75, "median": 2.5}
    assert errors([1.0], 0.0)["relative_error"] is None
    assert errors([], 2.0) == {"n": 0, "error": None, "relative_error": None, "median": None}


def test_steering_is_measured_beside_none(data: Path, tmp_path: Path) -> None:
    """A model that does as it is told only with guidance: dense crystals where density is asked for."""

    def answer(number: int, request: CrystalRequest) -> Crystal | None:
        if request.formula is not None:
            return MAGNESIA
        return PRESSED if request.wanted[:1] == (("density", 2.0),) and request.guidance > 1 else MAGNESIA

    drill = Drill(targets=0, samples=1, guidance=3.0, steps=1)
    figures = conditions(FakeGenerator(answer), data, drill, Desk(tmp_path / "b", processes=1), "cpu")
    assert figures["formula_and_space_group"]["guidance 1"] == {"n": 2, "formula": 50.0, "space_group": 50.0}
    rows = {(row["name"], row["value"], row["guidance"]): row for row in figures["steered"]}
    told, untold = rows["density", 2.0, 3.0], rows["density", 2.0, 1.0]
    assert told["error"] == pytest.approx(PRESSED.density - 2.0, abs=1e-3)
    assert untold["error"] == pytest.approx(MAGNESIA.density - 2.0, abs=1e-3) == told["unasked"]["error"]
    assert rows["hhi", 1000.0, 1.0]["n"] == rows["band_gap", 5.0, 3.0]["n"] == 1


def test_the_command_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    assert "example: python -m workers.training.evaluate csp" in capsys.readouterr().out
