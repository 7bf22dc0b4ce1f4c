"""Crystals to orbits to tokens and back: nothing of the structure is lost on the way."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from math import gcd

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from workers.crystals import Crystal, flaw, space_group, to_structure
from workers.generator.symmetry.draft import Draft, Plan
from workers.generator.symmetry.grammar import (
    cell_from_values,
    cell_values,
    formula_of,
    formula_rows,
    primitive_multiplicity,
    proposal_rows,
    rows,
    site_features,
)
from workers.generator.symmetry.orbits import (
    Orbit,
    SymmetricCrystal,
    encode,
    exact_points,
    orbit_points,
    primitive_atoms,
)
from workers.generator.symmetry.proposal import Proposal
from workers.generator.symmetry.unfolding import unfold
from workers.generator.symmetry.vocabulary import (
    ANGLE,
    CELL_BINS,
    FINEST,
    GRID,
    RATIO,
    SITES,
    VALUE_AT,
    VALUES,
    VOLUME,
    Bins,
    Column,
    Role,
    site_starts,
)
from workers.spacegroups import GROUPS, crystal_system, positions

SPECIAL = (0, 1 / 8, 1 / 6, 1 / 4, 1 / 3, 3 / 8, 1 / 2, 5 / 8, 2 / 3, 3 / 4, 5 / 6, 7 / 8)
TOLD = [column for column in Column if column not in (Column.TARGET, Column.OFFSET)]
BINS = st.sampled_from([VOLUME, RATIO, ANGLE])
SMALL = np.full(119, 0.1)  # radii that forbid nothing

Sites = Sequence[tuple[str, tuple[float, float, float]]]


def _structure(group: int, lattice: Lattice, sites: Sites) -> Structure:
    return Structure.from_spacegroup(group, lattice, [symbol for symbol, _ in sites], [place for _, place in sites])


KNOWN: dict[str, tuple[int, Lattice, Sites]] = {
    "rock salt": (225, Lattice.cubic(5.64), [("Na", (0, 0, 0)), ("Cl", (0.5, 0.5, 0.5))]),
    "perovskite": (221, Lattice.cubic(3.9), [("Sr", (0, 0, 0)), ("Ti", (0.5, 0.5, 0.5)), ("O", (0.5, 0.5, 0))]),
    "spinel": (227, Lattice.cubic(8.08), [("Mg", (0, 0, 0)), ("Al", (5 / 8,) * 3), ("O", (0.3874,) * 3)]),
    "pyrite": (205, Lattice.cubic(5.42), [("Fe", (0, 0, 0)), ("S", (0.38513,) * 3)]),
    "wurtzite": (186, Lattice.hexagonal(3.82, 6.26), [("Zn", (1 / 3, 2 / 3, 0)), ("S", (1 / 3, 2 / 3, 0.375))]),
    "rutile": (136, Lattice.tetragonal(4.59, 2.96), [("Ti", (0, 0, 0)), ("O", (0.30535, 0.30535, 0))]),
    "corundum": (167, Lattice.hexagonal(4.76, 12.99), [("Al", (0, 0, 0.3523)), ("O", (0.3064, 0, 0.25))]),
    "olivine": (
        62,
        Lattice.orthorhombic(10.33, 6.01, 4.69),
        [
            ("Li", (0, 0, 0)),
            ("Fe", (0.2822, 0.25, 0.9747)),
            ("P", (0.0948, 0.25, 0.4182)),
            ("O", (0.0968, 0.25, 0.7428)),
            ("O", (0.4571, 0.25, 0.2060)),
            ("O", (0.1656, 0.0465, 0.2848)),
        ],
    ),
    "baddeleyite": (
        14,
        Lattice.monoclinic(5.17, 5.23, 5.34, 99.2),
        [("Zr", (0.2754, 0.0395, 0.2083)), ("O", (0.07, 0.3317, 0.3447)), ("O", (0.4496, 0.7569, 0.4792))],
    ),
    "no symmetry": (
        1,
        Lattice.from_parameters(4.1, 5.2, 6.3, 81, 95, 103),
        [("Pb", (0.1, 0.2, 0.3)), ("I", (0.61, 0.77, 0.82)), ("O", (0.45, 0.3, 0.7))],
    ),
}


@cache
def known(name: str) -> Structure:
    return _structure(*KNOWN[name])


def encoded(structure: Structure) -> SymmetricCrystal | None:
    matrix, numbers = np.asarray(structure.lattice.matrix), np.array(structure.atomic_numbers)
    return encode(matrix, numbers, np.asarray(structure.frac_coords))


def canonical(structure: Structure) -> SymmetricCrystal:
    found = encoded(structure)
    assert found is not None
    return found


def reduced(crystal: SymmetricCrystal) -> tuple[list[tuple[int, int]], int]:
    cell = formula_of(crystal)
    units = gcd(*(count for _, count in cell))
    return [(number, count // units) for number, count in cell], units


def steps(crystal: SymmetricCrystal) -> np.ndarray:
    """All free coordinates in steps of the grid, offsets included."""
    return np.array([x for orbit in crystal.orbits for x in np.add(orbit.free, orbit.offsets)])


@pytest.mark.parametrize("name", KNOWN)
def test_the_form_of_a_crystal_is_the_crystal(name: str) -> None:
    structure = known(name)
    crystal = canonical(structure)
    assert crystal.group == KNOWN[name][0]
    back = unfold(crystal)
    distances = StructureMatcher(scale=False).get_rms_dist(structure, to_structure(back))
    assert distances is not None and distances[1] < 1e-3
    assert back.volume / len(back.species) == pytest.approx(structure.volume / len(structure), rel=1e-6)
    assert flaw(back) is None
    assert space_group(back, symprec=1e-3) == crystal.group
    assert len(back.species) == len(structure.get_primitive_structure()) == primitive_atoms(crystal)


@pytest.mark.parametrize("name", KNOWN)
def test_the_canonical_form_does_not_depend_on_origin_order_or_cell(name: str) -> None:
    other = known(name).copy()
    other.translate_sites(range(len(other)), [0.31, 0.17, 0.59])
    other = Structure.from_sites(list(reversed(other.sites)))
    other.make_supercell([[1, 1, 0], [0, 1, 0], [0, 0, 2]])
    first, second = canonical(known(name)), canonical(other)
    assert first.group == second.group
    assert [(o.number, o.position) for o in first.orbits] == [(o.number, o.position) for o in second.orbits]
    if first.group != 1:  # Niggli cells of equal volume may differ in P 1 by the choice of axes' signs
        assert second.lattice == pytest.approx(first.lattice, rel=1e-6)
        apart = (steps(first) - steps(second) + GRID / 2) % GRID - GRID / 2
        assert np.abs(apart).max(initial=0) < 1e-3


def test_small_noise_is_forgiven_and_symmetry_restored() -> None:
    rough = known("perovskite").copy()
    rough.perturb(0.004)
    crystal = canonical(rough)
    assert crystal.group == 221
    distances = StructureMatcher(scale=False).get_rms_dist(known("perovskite"), to_structure(unfold(crystal)))
    assert distances is not None and distances[1] < 1e-3


@pytest.mark.parametrize("place", SPECIAL)
def test_special_coordinates_are_whole_steps(place: float) -> None:
    step = round(place * GRID)
    assert step / GRID == pytest.approx(place, abs=1e-15)
    orbit = Orbit(8, 0, (step, step, step), (0.0, 0.0, 0.0))
    np.testing.assert_allclose(exact_points(1, orbit), [[place] * 3], atol=1e-15)


@pytest.mark.parametrize(("x", "y", "z"), [(1 / 8, 1 / 6, 1 / 3), (1 / 4, 1 / 8, 1 / 6), (1 / 3, 3 / 8, 1 / 4)])
def test_special_coordinates_stay_exact_through_a_round_trip(x: float, y: float, z: float) -> None:
    structure = _structure(47, Lattice.orthorhombic(7.1, 8.3, 9.2), [("U", (0, 0, 0)), ("O", (x, y, z))])
    crystal = canonical(structure)
    assert crystal.group == 47
    assert np.abs([orbit.offsets for orbit in crystal.orbits if orbit.offsets]).max() < 1e-6
    distances = StructureMatcher(scale=False).get_rms_dist(structure, to_structure(unfold(crystal)))
    assert distances is not None and distances[1] < 1e-6


def test_without_offsets_a_coordinate_is_half_a_step_off_at_most() -> None:
    crystal = canonical(known("olivine"))
    coarse = replace(crystal, orbits=tuple(replace(o, offsets=(0.0,) * len(o.free)) for o in crystal.orbits))
    exact, near = (np.concatenate([exact_points(62, o) for o in c.orbits]) for c in (crystal, coarse))
    apart = np.abs((near - exact + 0.5) % 1.0 - 0.5)
    assert 0 < apart.max() <= 0.5 / GRID + 1e-12


def test_orbit_points_are_distinct_and_as_many_as_the_multiplicity() -> None:
    for group in (14, 166, 225):
        for index, place in enumerate(positions(group)):
            free = [101, 257, 391][: place.free]
            points = orbit_points(group, index, free)
            assert len({tuple(point) for point in points.tolist()}) == place.multiplicity
            exact = exact_points(group, Orbit(1, index, tuple(free), (0.0,) * place.free))
            np.testing.assert_allclose(exact * GRID, points, atol=1e-9)


def test_coordinates_far_from_the_grid_are_still_found_on_their_position() -> None:
    assert [len(orbit.free) for orbit in canonical(known("pyrite")).orbits] == [0, 1]


@pytest.mark.parametrize("name", KNOWN)
def test_rows_tell_the_truth_about_the_token_to_come(name: str) -> None:
    crystal = canonical(known(name))
    formula, units = reduced(crystal)
    table = rows(crystal)
    assert [(r[Column.ELEMENT], r[Column.COUNT]) for r in table[: len(formula)].tolist()] == formula
    assert (table[: len(formula), Column.TARGET] == -1).all()
    predicted = table[len(formula) :]
    assert predicted[0, Column.ROLE] == Role.START
    assert predicted[0, Column.COUNT] == sum(count for _, count in formula)
    assert predicted[:2, Column.NEXT_ROLE].tolist() == [Role.UNITS, Role.GROUP]
    assert predicted[:2, Column.TARGET].tolist() == [units, crystal.group]
    for this, following in ((Column.ROLE, Column.NEXT_ROLE), (Column.ORBIT, Column.NEXT_ORBIT)):
        assert (predicted[1:, this] == predicted[:-1, following]).all()
    at = np.array([VALUE_AT[Role(role)] for role in predicted[:-1, Column.NEXT_ROLE]])
    assert (predicted[1:, Column.VALUE] == at + predicted[:-1, Column.TARGET]).all()
    free = sum(len(orbit.free) for orbit in crystal.orbits)
    assert np.isin(predicted[:, Column.NEXT_ROLE], (Role.FIRST, Role.SECOND, Role.THIRD)).sum() == free
    assert np.abs(predicted[:, Column.OFFSET]).max() <= FINEST / 2
    assert predicted[:, Column.VALUE].max() < VALUES


def fill_from(draft: Draft | Proposal, table: np.ndarray) -> None:
    """Write the targets of a table into a draft that must ask for them in just these words."""
    for line in table[table[:, Column.TARGET] >= 0]:
        assert draft.slot is not None
        assert [draft.row()[column] for column in TOLD] == line[TOLD].tolist()
        first = site_starts()[draft.group - 1] if line[Column.NEXT_ROLE] == Role.POSITION else 0
        value = int(line[Column.TARGET] - first)
        allowed = draft.allowed()
        assert allowed is None or (allowed[value] and len(allowed) == draft.head()[1])
        assert draft.accepts(np.array([value]))[0]
        draft.fill(value, line[Column.OFFSET] / FINEST)


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_learnt_is_what_is_asked_for_when_writing(name: str) -> None:
    crystal = canonical(known(name))
    formula, units = reduced(crystal)
    table = rows(crystal)
    draft = Draft(Plan(formula, (units,)), SMALL)
    assert draft.prompt(conditioned=True) == table[: len(formula)].tolist()
    fill_from(draft, table)
    assert draft.done
    written = draft.crystal()
    assert written.lattice == pytest.approx(crystal.lattice, rel=2e-5)  # offsets are kept in thousandths of a bin
    assert np.abs(steps(written) - steps(crystal)).max(initial=0) <= 0.5 / FINEST + 1e-9
    prompt, length = draft.room
    assert len(formula) <= prompt and prompt + len(table) - len(formula) < length


@pytest.mark.parametrize("name", KNOWN)
def test_a_proposal_asks_for_what_is_learnt(name: str) -> None:
    formula, _ = reduced(canonical(known(name)))
    proposal = Proposal({}, None, 20, neutral=False)
    fill_from(proposal, proposal_rows(formula))
    assert proposal.done
    assert proposal.formula == formula


def test_a_formula_comes_with_its_likely_oxidation_states() -> None:
    olivine = [(26, 1), (15, 1), (8, 4), (3, 1)]
    assert [line[Column.OXIDATION] - 10 for line in formula_rows(olivine)] == [2, 5, -2, 1]
    assert [line[Column.OXIDATION] for line in formula_rows([(79, 1), (29, 3)])] == [0, 0]  # none in an alloy


@pytest.mark.parametrize("name", KNOWN)
def test_the_cell_comes_back_from_its_free_parameters(name: str) -> None:
    crystal = canonical(known(name))
    values = cell_values(crystal)
    placed = {role: CELL_BINS[role].place(value) for role, value in values.items()}
    atoms = sum(positions(crystal.group)[orbit.position].multiplicity for orbit in crystal.orbits)
    fine = {role: CELL_BINS[role].value(*place) for role, place in placed.items()}
    coarse = {role: CELL_BINS[role].value(place[0]) for role, place in placed.items()}
    assert cell_from_values(crystal.group, fine, atoms) == pytest.approx(crystal.lattice, rel=1e-9)
    assert cell_from_values(crystal.group, coarse, atoms) == pytest.approx(crystal.lattice, rel=0.012)


@pytest.mark.parametrize("group", [2, 14, 62, 136, 166, 194, 225])
def test_a_cell_keeps_the_shape_of_its_system(group: int) -> None:
    lattice = cell_from_values(group, {Role.VOLUME: 20.0, Role.C_TO_A: 1.5} if group < 195 else {Role.VOLUME: 20.0}, 4)
    assert lattice is not None
    a, b, c, alpha, beta, gamma = lattice
    assert Lattice.from_parameters(*lattice).volume == pytest.approx(80.0)
    assert gamma == (120.0 if crystal_system(group) == "hexagonal" else 90.0)
    assert a == pytest.approx(b) and c == pytest.approx(a * (1.5 if group < 195 else 1.0)) and alpha == beta == 90.0


def test_angles_that_cannot_meet_give_no_cell() -> None:
    values = {Role.VOLUME: 20.0, Role.B_TO_A: 1.0, Role.C_TO_A: 1.0}
    flat = {Role.ALPHA: 120.0, Role.BETA: 120.0, Role.GAMMA: 120.0}
    assert cell_from_values(1, values | flat, 4) is None


@given(BINS, st.floats(0, 1))
def test_a_number_is_half_a_bin_off_at_most_and_exact_with_its_offset(bins: Bins, share: float) -> None:
    value = bins.low * (bins.high / bins.low) ** share if bins.log else bins.low + (bins.high - bins.low) * share
    index, offset = bins.place(value)
    assert 0 <= index < bins.count and abs(offset) <= 0.5
    ends = bins.value(index, -0.5), bins.value(index, 0.5)
    assert ends[0] * (1 - 1e-9) <= value <= ends[1] * (1 + 1e-9)
    assert bins.value(index, offset) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("bins", [VOLUME, RATIO, ANGLE])
def test_bins_give_back_their_own_values(bins: Bins) -> None:
    assert [bins.place(bins.value(i))[0] for i in range(bins.count)] == list(range(bins.count))
    assert bins.place(bins.low / 2) == (0, -0.5)
    assert bins.place(bins.high * 2) == (bins.count - 1, 0.5)


def test_site_table_counts_what_the_groups_have() -> None:
    sizes = np.diff(site_starts()).tolist()
    assert sizes == [len(positions(group)) for group in range(1, GROUPS + 1)]
    assert sum(sizes) == SITES
    assert site_features().shape == (SITES + 1, 25)
    assert np.isfinite(site_features()).all()


def test_primitive_multiplicities_divide_by_the_centring() -> None:
    assert [primitive_multiplicity(225, place) for place in positions(225)[:3]] == [1, 1, 2]


def test_a_cell_of_one_atom() -> None:
    crystal = Crystal((2.48, 2.48, 2.48, 60.0, 60.0, 60.0), ("Cu",), ((0.3, 0.3, 0.3),))
    found = canonical(to_structure(crystal))
    assert found.group == 225
    assert len(unfold(found).species) == 1


def test_atoms_on_top_of_each_other_have_no_form() -> None:
    assert encoded(Structure(Lattice.cubic(4.0), ["Na", "Na"], [[0, 0, 0], [0, 0, 0]])) is None
