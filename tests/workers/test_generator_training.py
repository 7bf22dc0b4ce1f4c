"""Preparing and training on a handful of crystals: it learns, resumes, and leaves a checkpoint that loads."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymatgen.core import Element, Lattice, Structure

from workers import training as command
from workers.cards import load_checkpoint
from workers.crystals import from_structure
from workers.errors import UserError
from workers.generator import dataset, training
from workers.generator.batches import Batches
from workers.generator.crystal_generator import CrystalGenerator
from workers.generator.evaluation import Target, compare, evaluate, summary
from workers.generator.grammar import Column
from workers.generator.requests import CrystalRequest, Generated

SALTS = [("Na", "Cl", 5.6), ("K", "Cl", 6.3), ("Li", "F", 4.0), ("Mg", "O", 4.2), ("Ca", "O", 4.8), ("Na", "F", 4.6)]


def _row(first: str, second: str, edge: float, split: str) -> dict[str, object]:
    cell = Structure.from_spacegroup(225, Lattice.cubic(edge), [first, second], [[0, 0, 0], [0.5, 0.5, 0.5]])
    primitive = cell.get_primitive_structure()
    return {
        "material_id": f"{first}{second}",
        "formula": f"{first}{second}",
        "nsites": len(primitive),
        "split": split,
        "lattice": [float(x) for x in primitive.lattice.parameters],
        "species": [Element(site.specie.symbol).Z for site in primitive],
        "frac_coords": [float(x) for x in primitive.frac_coords.ravel()],
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rows = [_row(*salt, "train") for salt in SALTS[:4]]
    rows += [_row(*SALTS[4], "val"), _row(*SALTS[5], "test")]
    pq.write_table(pa.Table.from_pylist(rows), folder / "mp20.parquet")
    later = [_row("Sr", "O", 5.2, "new"), _row(*SALTS[5], "leaks"), _row(*SALTS[0], "known")]
    pq.write_table(pa.Table.from_pylist(later), folder / "mp2025_structures.parquet")
    return folder


@pytest.fixture(scope="module")
def work(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    dataset.build(data, folder, processes=1)
    training.train(folder, "cpu", minutes=0.03, resume=False, seed=0)
    return folder


def test_held_out_formulas_are_not_learnt_from_later_data(work: Path) -> None:
    tokens = dataset.load(work)
    assert np.bincount(tokens.part).tolist() == [4, 1, 1, 1]  # SrO alone is new


def test_batches_hold_every_crystal_once(work: Path) -> None:
    batches = Batches(dataset.load(work), budget=20)
    members = batches.members("train", "extra")
    packed = list(batches.pack(members, np.random.default_rng(0)))
    assert sum(len(rows) for rows in packed) == len(members) == 5
    assert all(rows.shape[0] * rows.shape[1] <= 20 for rows in packed)
    assert all((rows[:, -1, Column.TARGET] >= -1).all() for rows in packed)


def test_training_goes_on_where_it_stopped(work: Path) -> None:
    before = json.loads((work / "run.json").read_text())
    training.train(work, "cpu", minutes=0.05, resume=True, seed=0)
    after = json.loads((work / "run.json").read_text())
    assert after["step"] > before["step"] > 0
    assert after["seconds"] > before["seconds"]


def test_the_checkpoint_loads_and_generates(work: Path) -> None:
    card, arrays = load_checkpoint(work / training.CHECKPOINT)
    assert card.kind == "crystal-generator"
    assert arrays["units"][2, 1] == 4  # every salt has one formula unit in its primitive cell
    generator = CrystalGenerator(card, arrays)
    answers = generator.generate([CrystalRequest("NaCl", seed, temperature=0.5) for seed in range(4)])
    assert len(answers) == 4


def test_matches_are_counted(work: Path, data: Path) -> None:
    known = from_structure(Structure.from_spacegroup(225, Lattice.cubic(5.6), ["Na", "Cl"], [[0] * 3, [0.5] * 3]))
    other = from_structure(Structure.from_spacegroup(221, Lattice.cubic(3.4), ["Na", "Cl"], [[0] * 3, [0.5] * 3]))
    target = Target(known, "NaCl", 1)
    outcome = compare((target, [Generated(other, -1.0), Generated(known, -2.0), Generated(None, -np.inf, "flaw")]))
    assert (outcome.valid, outcome.samples, outcome.first, outcome.any, outcome.likeliest) == (2, 3, None, True, False)
    assert summary([outcome])["match_within_k"] == 100.0
    generator = CrystalGenerator(*load_checkpoint(work / training.CHECKPOINT))
    assert evaluate(generator, data, targets=1, count=2, temperature=0.5, seed=0)["targets"] == 1


def test_other_devices_are_refused(work: Path) -> None:
    with pytest.raises(UserError, match="abacus"):
        training.train(work, "abacus", minutes=0.01, resume=False, seed=0)


def test_the_command_knows_its_models(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(["crystal-ball", "train", "--data", "."])
    assert stopped.value.code == 2
    assert "crystal-generator" in capsys.readouterr().err
