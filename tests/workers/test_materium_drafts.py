"""Drafts of the atom-by-atom grammar: what is owed, charges, room between atoms, open formulas."""

from collections import Counter
from dataclasses import asdict
from functools import cache

import numpy as np
import pytest
import torch

from workers.cards import Card
from workers.generator.corpus import covalent_radii
from workers.generator.materium.clearance import Clearance, guessed, reaches
from workers.generator.materium.dataset import species_table
from workers.generator.materium.draft import Book, Draft, Plan, number_values
from workers.generator.materium.generator import MateriumGenerator
from workers.generator.materium.network import MateriumModel, NetworkConfig
from workers.generator.materium.owed import FIRST, Owed, SpeciesTable, Wish, can_be_neutral
from workers.generator.materium.owed import species_table as as_table
from workers.generator.materium.tokens import COORDINATES, ELEMENTS, Column, Role, own_vocabulary
from workers.generator.requests import CrystalRequest
from workers.generator.sampler import DeadEnd

ANATASE = ((22, 1), (8, 2))
VOCABULARY = own_vocabulary(species_table())


@cache
def table() -> SpeciesTable:
    return as_table(VOCABULARY)


def place(number: int, state: int) -> int:
    return VOCABULARY.species.index((number, state))


def elements(owed: Owed) -> set[int]:
    """What may come next; 0 for the end of the atoms."""
    mask = owed.mask
    return {int(z) for z in table().numbers[mask[FIRST:]]} | ({0} if mask[0] else set())


@pytest.mark.parametrize(("order", "expected"), [("high", [22, 22, 8, 8, 8, 8]), ("low", [8, 8, 8, 8, 22, 22])])
def test_elements_come_in_the_order_of_the_model(order: str, expected: list[int]) -> None:
    owed = Owed(Wish(ANATASE, (2,), 20, order), table())
    for number in expected:
        assert elements(owed) == {number}
        owed.take(place(number, 0))
    assert elements(owed) == {0}


@pytest.mark.parametrize("order", ["xyz", "random"])
def test_without_order_any_element_may_come_that_is_owed(order: str) -> None:
    owed = Owed(Wish(ANATASE, (1,), 20, order), table())
    assert elements(owed) == {22, 8}
    assert [owed.take(place(8, -2)), owed.take(place(8, -2))] == [2, 1]
    assert elements(owed) == {22}
    owed.take(place(22, 4))
    assert elements(owed) == {0}


def test_where_units_are_open_the_atoms_settle_them() -> None:
    owed = Owed(Wish(ANATASE, (1, 2, 3), 20, "high"), table())
    owed.take(place(22, 4))
    owed.take(place(22, 4))
    assert elements(owed) == {22, 8}
    for _ in range(4):
        owed.take(place(8, -2))
    assert owed.units == (2,) and elements(owed) == {0}
    unordered = Owed(Wish(ANATASE, (1, 3), 20, "random"), table())
    for number in (22, 8, 8):
        unordered.take(place(number, 0))
    assert elements(unordered) == {0, 22, 8}


def test_states_of_a_balanced_crystal_add_up_to_zero() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        owed = Owed(Wish(((26, 3), (8, 4)), (1,), 20, "high", balanced=True), table())
        while not owed.mask[0]:
            owed.take(int(rng.choice(np.flatnonzero(owed.mask[FIRST:]))))
        assert owed.charge == 0
    assert not can_be_neutral(as_table(own_vocabulary(np.array([[11, 1], [17, -1]]))), ((11, 2), (17, 1)))


def test_an_open_formula_keeps_to_the_order_and_the_most_atoms() -> None:
    owed = Owed(Wish(None, (), 2, "high"), table())
    assert 0 not in elements(owed)
    owed.take(place(22, 4))
    assert max(elements(owed)) == 22
    owed.take(place(8, -2))
    assert elements(owed) == {0}


@cache
def book() -> Book:
    return Book(VOCABULARY, table(), covalent_radii(ELEMENTS).astype(np.float64), number_values(VOCABULARY), True)


def draft(plan: Plan) -> Draft:
    return Draft(plan, book())


def written(points: list[tuple[int, int, int]], plan: Plan) -> Draft:
    """A draft of which these atoms are written, the first place of each species."""
    one = draft(plan)
    for point in points:
        one.fill(int(np.flatnonzero(one.owed.mask)[0]), 0.0)
        for value in point:
            one.fill(value, 0.0)
    return one


def salt() -> Plan:
    return Plan(Wish(((17, 1), (11, 1)), (1,), 20, "high"), ((17, 1), (11, 1)))


def test_two_atoms_never_share_a_point() -> None:
    one = written([(0, 0, 0)], salt())
    one.fill(int(np.flatnonzero(one.owed.mask)[0]), 0.0)
    one.fill(0, 0.0)
    one.fill(0, 0.0)
    assert one.accepts(np.array([0, 1, 480])).tolist() == [False, True, True]


def cell_bins(*cell: float) -> list[int]:
    roles = (Role.A, Role.B, Role.C, Role.ALPHA, Role.BETA, Role.GAMMA)
    return [int(VOCABULARY.grids[role].bins(x)) for role, x in zip(roles, cell, strict=True)]


def close(one: Draft, *cell: float) -> bool:
    """Whether the draft takes this cell."""
    one.fill(0, 0.0)  # the atoms end
    for value in cell_bins(*cell):
        if not one.accepts(np.array([value]))[0]:
            return False
        one.fill(value, 0.0)
    return one.done


def test_cells_that_crush_the_atoms_are_refused() -> None:
    middle = [(0, 0, 0), (480, 480, 480)]
    assert close(written(middle, salt()), 3.99, 3.99, 3.99, 60, 60, 60)
    assert not close(written(middle, salt()), 1.7, 3.99, 3.99, 60, 60, 60)
    assert not close(written(middle, salt()), 2.0, 2.0, 2.0, 60, 60, 60)
    assert not close(written([(0, 0, 0), (200, 0, 0)], salt()), 3.99, 3.99, 3.99, 60, 60, 60)
    assert not close(written(middle, salt()), 3.99, 3.99, 3.99, 150, 60, 60)


def test_the_next_attempt_keeps_clear_of_what_crushed_the_one_before() -> None:
    plan = salt()
    assert not close(written([(0, 0, 0), (200, 0, 0)], plan), 3.99, 3.99, 3.99, 60, 60, 60)
    again = written([(0, 0, 0)], plan)
    for value in (int(np.flatnonzero(again.owed.mask)[0]), 200, 0):
        again.fill(value, 0.0)
    assert again.accepts(np.array([0, 480])).tolist() == [False, True]


def test_a_guess_measures_distances_across_the_border() -> None:
    guess = guessed(np.array([4.0, 4.0, 4.0, 90.0, 90.0, 90.0]))
    assert guess is not None
    there, places = np.array([[0.02, 0.0, 0.0]]), np.array([[0.98, 0.0, 0.0], [0.5, 0.5, 0.5]])
    assert guess.fits(places, there, np.array([0.6])).tolist() == [False, True]
    assert guessed(np.array([4.0, 4.0, 4.0, 150.0, 60.0, 60.0])) is None


def test_clearance_counts_as_pymatgen_does() -> None:
    from pymatgen.core import Lattice, Structure

    rng = np.random.default_rng(2)
    radii = np.full(4, 0.9)
    for _ in range(30):
        cell = [*rng.uniform(3, 7, 3), *rng.uniform(65, 115, 3)]
        coords = rng.random((4, 3))
        structure = Structure(Lattice.from_parameters(*cell), ["Na"] * 4, coords)
        shortest = min(structure.distance_matrix[np.triu_indices(4, 1)])
        fits = Clearance(coords, radii).cells(np.array([cell]))[0]
        assert fits == (shortest > reaches(np.array(0.9), radii)[0])


def test_drafts_without_an_ending_are_dead() -> None:
    plan = Plan(Wish(((17, 1),), (1,), 20, "high", balanced=True), ((17, 1),))
    states = np.flatnonzero(draft(plan).owed.mask[FIRST:])
    one = draft(plan)
    assert table().charges[states].tolist() == [0]
    one.owed.units = ()  # as if nothing fitted any more
    one.role = Role.Z
    one.points = [[0, 0]]
    with pytest.raises(DeadEnd):
        one.fill(0, 0.0)


def test_guidance_leaves_out_the_conditions_and_their_places() -> None:
    plan = Plan(Wish(((17, 1), (11, 1)), (1,), 20, "high"), ((17, 1), (11, 1)), {Role.DENSITY: 0.4, Role.GROUP: 225.0})
    one = draft(plan)
    shown, hidden = np.array(one.prompt(True)), np.array(one.prompt(False))
    assert shown[:, Column.ROLE].tolist() == [Role.DENSITY, Role.GROUP, Role.ELEMENT, Role.ELEMENT, Role.START]
    assert (shown[2:] == hidden).all()
    assert one.row()[Column.POSITION] == len(shown)


@cache
def untrained() -> MateriumGenerator:
    torch.manual_seed(0)
    config = NetworkConfig(width=32, layers=1, heads=2, dropout=0.0)
    weights = {k: p.detach().numpy() for k, p in MateriumModel(config, VOCABULARY).named_parameters()}
    layout = {"order": "high", "most_atoms": 8}
    card = Card("untrained", "materium-generator", "", {"network": asdict(config), "layout": layout}, tile=16)
    return MateriumGenerator(card, {**weights, "species": species_table(), "radii": covalent_radii(ELEMENTS)})


def test_without_a_formula_the_model_chooses_one() -> None:
    asked = [CrystalRequest(None, seed, max_atoms=4) for seed in range(12)]
    found = [answer.crystal for answer in untrained().generate(asked) if answer.crystal is not None]
    assert len(found) > 3
    assert all(len(crystal.species) <= 4 for crystal in found)
    assert len({crystal.species for crystal in found}) > 1


@pytest.mark.parametrize("formula", ["Fe3O4", None])
def test_charges_balance_when_asked(formula: str | None) -> None:
    generator = untrained()
    samples = [generator._begin(CrystalRequest(formula, seed, charge_balanced=True)) for seed in range(6)]
    generator.sampler.run(samples)  # type: ignore[arg-type]
    finished = [sample for sample in samples if sample.flaw is None]  # type: ignore[union-attr]
    assert finished and all(sample.draft.owed.charge == 0 for sample in finished)  # type: ignore[union-attr]


def test_the_atoms_of_a_cell_choose_its_units_where_nothing_is_known_of_them() -> None:
    answers = untrained().generate([CrystalRequest("NaCl", seed) for seed in range(16)])
    sizes = Counter(len(answer.crystal.species) for answer in answers if answer.crystal is not None)
    assert len(sizes) > 1 and all(size % 2 == 0 and size <= 8 for size in sizes)


def test_seeds_make_the_difference() -> None:
    asked = [CrystalRequest("NaCl", seed, units=1) for seed in range(4)]
    first = untrained().generate(asked)
    assert first == untrained().generate(asked)
    assert len({answer.log_likelihood for answer in first}) == 4


def test_conditions_change_what_is_written() -> None:
    plain, dense = (
        untrained().generate([CrystalRequest("NaCl", 3, units=1, wanted=wanted)])[0]
        for wanted in ((), (("density", 9.0),))
    )
    assert plain.log_likelihood != dense.log_likelihood


@pytest.mark.parametrize("role", COORDINATES)
def test_numbers_near_each_other_count_as_one(role: Role) -> None:
    one = draft(salt())
    one.role = role
    assert one.reach() is not None
    one.role = Role.SPECIES
    assert one.reach() is None
