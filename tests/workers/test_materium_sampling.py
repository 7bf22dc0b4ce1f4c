"""The paper's grammar: exact codec, exact stoichiometry, and answers that depend on nothing but the request."""

from collections import Counter
from dataclasses import asdict
from functools import cache

import numpy as np
import pytest
import torch

from workers.cards import Card
from workers.compositions import parse_formula
from workers.crystals import flaw
from workers.errors import CheckpointError
from workers.generator.corpus import covalent_radii
from workers.generator.draws import choose
from workers.generator.materium.dataset import species_table
from workers.generator.materium.generator import Arrays, MateriumGenerator
from workers.generator.materium.network import MateriumModel, NetworkConfig
from workers.generator.materium.tokens import ANGLE, COORDINATE, ELEMENTS, LENGTH, ORDERS, Grid, own_vocabulary
from workers.generator.requests import CrystalRequest
from workers.generator.sampler import Draw, Sample
from workers.generator.units import count_units

SMALL = NetworkConfig(width=32, layers=1, heads=2, dropout=0.0)


@cache
def arrays() -> Arrays:
    torch.manual_seed(0)
    model = MateriumModel(SMALL, own_vocabulary(species_table()))
    weights = {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}
    units = count_units([[1, 1], [2, 2], [1, 1, 3], [2, 4]])
    return {**weights, "species": species_table(), "radii": covalent_radii(ELEMENTS), **units}


@cache
def untrained(order: str = "high") -> MateriumGenerator:
    layout = {"order": order, "most_atoms": 20}
    card = Card("untrained", "materium-generator", "", {"network": asdict(SMALL), "layout": layout}, tile=32)
    return MateriumGenerator(card, arrays())


@pytest.mark.parametrize("grid", [COORDINATE, LENGTH, ANGLE])
def test_numbers_come_back_from_their_bins(grid: Grid) -> None:
    values = grid.values()
    assert (grid.bins(values) == np.arange(len(values))).all()
    between = (values[:-1] + values[1:]) / 2
    steps = np.diff(values)
    error = np.abs(values[grid.bins(between + 0.2 * steps)] - (between + 0.2 * steps))
    assert (error <= steps / 2 + 1e-9).all()


def test_what_symmetry_fixes_is_exact() -> None:
    fractions = np.array([0, 1 / 8, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4])
    assert np.allclose(COORDINATE.values()[COORDINATE.bins(fractions)], fractions, atol=1e-12)
    angles = np.array([60.0, 90.0, 120.0])
    assert np.allclose(ANGLE.values()[ANGLE.bins(angles)], angles, atol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
def test_masks_alone_keep_the_stoichiometry(order: str) -> None:
    asked = [CrystalRequest(formula, seed) for formula in ("NaCl", "SrTiO3", "Fe2O3") for seed in range(4)]
    answers = untrained(order).generate(asked)
    assert sum(answer.crystal is not None for answer in answers) >= 0.75 * len(asked)
    for request, answer in zip(asked, answers, strict=True):
        if answer.crystal is not None:
            assert answer.crystal.formula == parse_formula(str(request.formula)).formula
            assert flaw(answer.crystal) is None


def test_units_of_the_cell_can_be_given() -> None:
    answers = untrained().generate([CrystalRequest("TiO2", seed, units=2) for seed in range(4)])
    cells = [Counter(answer.crystal.species) for answer in answers if answer.crystal is not None]
    assert cells and all(cell == {"Ti": 2, "O": 4} for cell in cells)


def test_an_answer_does_not_depend_on_its_neighbours() -> None:
    wishes = (("density", 5.0),)
    asked = [CrystalRequest("SrTiO3", 1), CrystalRequest("NaCl", 2, wanted=wishes, guidance=2.0)]
    asked += [CrystalRequest("ZnS", seed) for seed in range(40)]
    together = untrained().generate(asked)
    assert untrained().generate([asked[1]]) == [together[1]]
    assert untrained().generate(asked[::-1]) == together[::-1]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (CrystalRequest("Xx2", 1), "Xx"),
        (CrystalRequest("Fe0.62C0.38", 1), "fractional"),
        (CrystalRequest("SrTiO3", 1, max_atoms=4), "at most 4"),
        (CrystalRequest("NaCl", 1, wanted=(("density", 90.0),)), "density 90"),
        (CrystalRequest("NaCl", 1, space_group=231), "231"),
    ],
)
def test_what_cannot_be_met_is_refused_with_a_reason(request_: CrystalRequest, reason: str) -> None:
    (answer,) = untrained().generate([request_])
    assert answer.crystal is None and answer.flaw is not None and reason in answer.flaw


def test_broken_weights_are_refused() -> None:
    card = untrained().card
    broken = {**arrays(), "radii": np.full_like(np.asarray(arrays()["radii"], dtype=np.float32), np.nan)}
    with pytest.raises(CheckpointError, match="not finite"):
        MateriumGenerator(card, broken)
    missing = {name: array for name, array in arrays().items() if name != "species"}
    with pytest.raises(CheckpointError, match="species"):
        MateriumGenerator(card, missing)


class Picky:
    """A draft that takes one value alone."""

    done = False

    def allowed(self) -> None: ...

    def reach(self) -> None: ...

    def accepts(self, candidates: np.ndarray) -> np.ndarray:
        return candidates == 200


def test_each_attempt_looks_further_for_what_fits() -> None:
    sample, falling = Sample(Picky, Draw(0, 0.01)), -np.arange(960.0)[None]  # type: ignore[arg-type]
    assert choose([sample], falling) == [None] and sample.flaw is not None
    sample.restart()
    assert choose([sample], falling) == [200] and sample.flaw is None
