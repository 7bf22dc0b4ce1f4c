"""Structures ranked as they are made and as they relax: a squeezed crystal shows only then that it is stable."""

from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from pymatgen.core import Lattice, Structure

from workers.crystals import Crystal, from_structure
from workers.generator.evaluation.benchmarks import Target
from workers.generator.evaluation.desk import Desk
from workers.generator.evaluation.matching import distances
from workers.generator.evaluation.outcomes import Outcome
from workers.generator.evaluation.settled import settled
from workers.generator.generators import judge
from workers.generator.requests import Generated


def rocksalt(edge: float) -> Crystal:
    cell = Structure.from_spacegroup(225, Lattice.cubic(edge), ["Na", "Cl"], [[0] * 3, [0.5] * 3])
    return from_structure(cell.get_primitive_structure())


SALT, SQUEEZED = rocksalt(5.65), rocksalt(5.0)
PRESSED = from_structure(Structure(Lattice.cubic(3.5), ["Na", "Cl"], [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]))


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    crystals = [PRESSED, SQUEEZED]
    samples = [Generated(crystal, -1.0, None, -1.0) for crystal in crystals]
    energies = judge("cpu").energies(crystals)
    assert energies[0] < energies[1]
    return Outcome(Target(SALT, "NaCl", 1), samples, distances((SALT, crystals)), [], [[0], [1]], energies)


def test_relaxation_brings_the_stable_structure_to_the_front(outcome: Outcome, tmp_path: Path) -> None:
    figures = settled([outcome], {"model": "none"}, Desk(tmp_path / "s", processes=1), "cpu")
    assert (figures["targets"], figures["structures"]) == (1, 2)
    assert figures["energy"] == {"before": 0.0, "after": 100.0, "after, as relaxed": 100.0}
    more = settled([outcome] * 2, {"model": "none"}, Desk(tmp_path / "s", resume=True, processes=1), "cpu")
    assert (more["targets"], more["energy"]) == (2, figures["energy"])  # the first was kept, the second added


def test_what_cannot_be_measured_comes_last(outcome: Outcome, tmp_path: Path) -> None:
    alone = replace(outcome.samples[0], crystal=Crystal((9.0, 9.0, 9.0, 90.0, 90.0, 90.0), ("Xe",), ((0.0,) * 3,)))
    broken = replace(outcome, samples=[alone, outcome.samples[1]], energies=[inf, outcome.energies[1]])  # type: ignore[index]
    figures = settled([broken], {}, Desk(tmp_path / "s", processes=1), "cpu")
    assert figures["energy"]["after"] == 100.0


def test_what_was_never_made_is_a_miss(outcome: Outcome, tmp_path: Path) -> None:
    nothing = Generated(None, -inf, "no cell")
    empty = replace(outcome, samples=[nothing], distances=[None], groups=[], energies=[inf])
    figures = settled([empty, outcome], {}, Desk(tmp_path / "s", processes=1), "cpu")
    assert figures["structures"] == 2 and figures["energy"]["after"] == 50.0
