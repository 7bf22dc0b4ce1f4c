"""Tokens of the atom-by-atom grammar: codecs, canonical forms, rows."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from workers.generator.materium.batches import AFTER, Reader
from workers.generator.materium.canonical import canonical, own_turns
from workers.generator.materium.dataset import encoded, species_table
from workers.generator.materium.dataset import joined as join
from workers.generator.materium.tables import Crystals, load, save
from workers.generator.materium.tokens import (
    ANGLE,
    CELL,
    COORDINATE,
    COORDINATES,
    LENGTH,
    NUMBERS,
    ORDERS,
    SPECIES_AT,
    Column,
    Role,
    own_vocabulary,
    shared_vocabulary,
)

SPECIAL = [0, 1 / 8, 1 / 6, 1 / 4, 1 / 3, 3 / 8, 1 / 2, 5 / 8, 2 / 3, 3 / 4, 5 / 6, 7 / 8]
SALT = {"lattice": [3.99, 3.99, 3.99, 60.0, 60.0, 60.0], "species": [11, 17], "formula": "NaCl", "split": "train"}
SALT |= {"frac_coords": [0.5, 0.5, 0.5, 0.0, 0.0, 0.0], "density": 2.1, "spacegroup_number": 225, "band_gap": 5.0}
SALT |= {"mag_density": 0.0, "bulk_modulus": None}
RUTILE = {"lattice": [2.96, 4.6, 4.6, 90.0, 90.0, 90.0], "species": [8, 22, 8, 22, 8, 8], "formula": "TiO2"}
RUTILE |= {
    "frac_coords": [0, 0.305, 0.305, 0, 0, 0, 0, 0.695, 0.695, 0.5, 0.5, 0.5, 0.5, 0.195, 0.805, 0.5, 0.805, 0.195]
}
RUTILE |= {"density": 4.2, "spacegroup_number": 136, "band_gap": 1.8, "split": "val", "mag_density": None}
RUTILE |= {"bulk_modulus": 210.0}


def crystals() -> Crystals:
    return join([encoded(item) for item in (SALT, RUTILE)])


@pytest.mark.parametrize("fraction", SPECIAL)
def test_special_positions_are_exact(fraction: float) -> None:
    for x in (fraction, fraction + 1, fraction - 1, fraction + 3e-4):
        assert COORDINATE.values()[COORDINATE.bins(x)] == fraction % 1


@given(st.floats(-2, 2))
def test_a_coordinate_moves_by_half_a_bin_at_most(x: float) -> None:
    apart = abs(COORDINATE.values()[COORDINATE.bins(x)] - x) % 1
    assert min(apart, 1 - apart) <= 0.5 / COORDINATE.count + 1e-12


@given(st.floats(1.5, 120), st.floats(30, 150))
def test_lengths_and_angles_move_by_half_a_bin_at_most(length: float, angle: float) -> None:
    step = np.log(80) / (LENGTH.count - 1)
    assert abs(np.log(LENGTH.values()[LENGTH.bins(length)] / length)) <= step / 2 + 1e-12
    assert abs(ANGLE.values()[ANGLE.bins(angle)] - angle) <= 60 / (ANGLE.count - 1) + 1e-9


@pytest.mark.parametrize("angle", [60.0, 90.0, 120.0])
def test_the_angles_of_symmetric_cells_are_exact(angle: float) -> None:
    assert ANGLE.values()[ANGLE.bins(angle)] == angle


def test_coding_has_no_bias() -> None:
    x = np.random.default_rng(0).random(200_000)
    moved = COORDINATE.values()[COORDINATE.bins(x)] - x
    moved -= np.rint(moved)
    assert abs(moved.mean()) < 1e-5


def test_the_vocabulary_has_every_element_without_charge_and_its_common_ions() -> None:
    table = {tuple(row) for row in species_table().tolist()}
    assert {(z, 0) for z in range(1, 100)} <= table
    assert {(8, -2), (26, 2), (26, 3), (17, -1), (11, 1)} <= table
    assert species_table().tolist() == sorted(species_table().tolist())


def test_tables_of_values_do_not_overlap() -> None:
    vocabulary = own_vocabulary(species_table())
    spans = sorted({vocabulary.head(role) for role in (Role.SPECIES, *NUMBERS)})
    assert len(spans) == 4
    assert all(a + n <= b for (a, n), (b, _) in zip(spans, spans[1:], strict=False))
    assert sum(n for _, n in spans) + Role.LATTICE - 4 == vocabulary.size


def test_all_numbers_of_the_original_share_their_bins() -> None:
    ranges = {"a": (2, 10), "b": (2, 12.5), "c": (2, 20), "alpha": (60, 120), "beta": (60, 120), "gamma": (60, 120)}
    vocabulary = shared_vocabulary(np.array([[8, 0]]), 1024, ranges)
    assert len({vocabulary.head(role) for role in NUMBERS}) == 1
    assert vocabulary.grids[Role.A].values()[0] == pytest.approx(2 + 4 / 1024)


def structure(item: dict[str, object]) -> Structure:
    coords = np.reshape(item["frac_coords"], (-1, 3))
    return Structure(Lattice.from_parameters(*item["lattice"]), item["species"], coords)


@pytest.mark.parametrize("item", [SALT, RUTILE])
def test_canonical_forms_are_the_same_crystal(item: dict[str, object]) -> None:
    known = structure(item)
    numbers, points = canonical(known.lattice.matrix, np.array(item["species"]), known.frac_coords)
    again = Structure(known.lattice, numbers, points / COORDINATE.count)
    found = StructureMatcher(primitive_cell=False, scale=False).get_rms_dist(known, again)
    assert found is not None and found[0] < 1e-3
    assert points[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("item", [SALT, RUTILE])
def test_canonical_forms_do_not_depend_on_how_a_cell_is_turned(item: dict[str, object]) -> None:
    known = structure(item)
    vectors, numbers = known.lattice.matrix, np.array(item["species"])
    expected = canonical(vectors, numbers, known.frac_coords)
    order = np.random.default_rng(1).permutation(len(numbers))
    for turn in own_turns(vectors):
        assert np.rint(np.linalg.det(turn)) == 1
        coords = known.frac_coords @ np.linalg.inv(turn) + [0.5, 0, 0.5]
        found = canonical(vectors, numbers[order], coords[order])
        assert all((a == b).all() for a, b in zip(found, expected, strict=True))


def test_known_crystals_are_kept_in_one_file(tmp_path: Path) -> None:
    save(tmp_path, crystals())
    again = load(tmp_path)
    assert again.members("train").tolist() == [0] and again.members("val").tolist() == [1]
    assert again.states[:2].tolist() == [-1, 1]  # chlorine is heavier
    assert np.isnan(again.wanted[0]).tolist() == [False, False, False, False, True]


@pytest.mark.parametrize("order", ORDERS)
def test_rows_say_the_whole_crystal_in_every_order(order: str) -> None:
    table = crystals()
    vocabulary = own_vocabulary(table.species)
    reader = Reader(table, vocabulary, order)
    rng = np.random.default_rng(3)
    prompt = reader.prompt(1, rng, steered=False)
    rows, targets, roles = reader.rows(1, prompt, rng)
    assert len(rows) == len(prompt) + 4 * 6 + AFTER
    assert rows[:, Column.POSITION].tolist() == list(range(len(rows)))
    written = targets[targets >= 0]
    atoms = written[:24].reshape(6, 4)
    numbers = [vocabulary.species[place - SPECIES_AT][0] for place in atoms[:, 0]]
    if order in ("low", "high"):
        assert numbers == sorted(numbers, reverse=order == "high")
    coords = np.stack(
        [vocabulary.grids[r].values()[atoms[:, 1 + i] - vocabulary.starts[r]] for i, r in enumerate(COORDINATES)]
    )
    cell = [vocabulary.grids[r].values()[p - vocabulary.starts[r]] for r, p in zip(CELL, written[25:], strict=True)]
    found = Structure(Lattice.from_parameters(*cell), numbers, coords.T)
    assert StructureMatcher(ltol=0.01, stol=0.01, scale=False).fit(structure(RUTILE), found)
    assert roles[targets >= 0].tolist() == [*[Role.SPECIES, *COORDINATES] * 6, Role.SPECIES, *CELL]


def test_random_order_is_drawn_anew_each_time() -> None:
    table = crystals()
    reader = Reader(table, own_vocabulary(table.species), "random")
    rng = np.random.default_rng(0)
    assert len({tuple(reader.arranged(1, rng).tolist()) for _ in range(20)}) > 10


def test_half_of_the_prompts_show_the_formula_alone() -> None:
    table = crystals()
    reader = Reader(table, own_vocabulary(table.species), "high")
    rng = np.random.default_rng(0)
    prompts = [reader.prompt(0, rng, steered=True) for _ in range(2000)]
    roles = [{row[Column.ROLE] for row in prompt} for prompt in prompts]
    plain = sum(not found - {Role.ELEMENT} for found in roles) / len(roles)
    assert 0.48 < plain < 0.56  # a few of the others show nothing by chance
    assert 0.07 < sum(Role.ELEMENT not in found for found in roles) / len(roles) < 0.13
    assert not any(Role.BULK_MODULUS in found for found in roles)  # unknown for this crystal
    assert 0.2 < sum(Role.GROUP in found for found in roles) / len(roles) < 0.3


def test_every_crystal_is_in_one_batch_and_batches_are_shuffled() -> None:
    table = crystals()
    reader = Reader(table, own_vocabulary(table.species), "high")
    members = np.array([0, 1] * 20)
    batches = list(reader.batches(members, 200, np.random.default_rng(0)))
    assert sum(len(batch.rows) for batch in batches) == 40
    assert all(batch.rows[..., 0].numel() <= 200 for batch in batches)
    widths = [batch.rows.shape[1] for batch in batches]
    assert widths != sorted(widths)
