"""Space groups against what the International Tables say, and against themselves."""

import numpy as np
import pytest
import spglib

from workers.spacegroups import (
    GROUPS,
    UNIT,
    centring,
    crystal_system,
    hall_number,
    normaliser,
    operations,
    polar_axes,
    positions,
    symbol,
)

SOME = (1, 2, 5, 14, 15, 62, 63, 88, 123, 139, 148, 160, 166, 186, 194, 205, 216, 220, 225, 227, 230)


def test_all_wyckoff_positions_of_the_tables_are_found() -> None:
    assert sum(len(positions(group)) for group in range(1, GROUPS + 1)) == 1731


@pytest.mark.parametrize(
    ("group", "multiplicities"),
    [
        (221, [1, 1, 3, 3, 6, 6, 8, 12, 12, 12, 24, 24, 24, 48]),
        (227, [8, 8, 16, 16, 32, 48, 96, 96, 192]),
        (14, [2, 2, 2, 2, 4]),
        (62, [4, 4, 4, 8]),
    ],
)
def test_multiplicities_are_those_of_the_tables(group: int, multiplicities: list[int]) -> None:
    assert [place.multiplicity for place in positions(group)] == multiplicities


@pytest.mark.parametrize("group", SOME)
def test_every_operation_maps_each_position_onto_itself(group: int) -> None:
    scale = 1_000_003 * UNIT
    for place in positions(group):
        free = np.array([1009, 10007, 100003])[: place.free] * UNIT
        points = (place.base * 1_000_003 + place.basis[:, :, : place.free] @ free) % scale
        known = {tuple(point) for point in points.tolist()}
        assert len(known) == place.multiplicity
        group_operations = operations(group)
        for w, t in zip(group_operations.rotations, group_operations.translations, strict=True):
            moved = (points @ w.T + t * 1_000_003) % scale
            assert {tuple(point) for point in moved.tolist()} == known


@pytest.mark.parametrize("group", SOME)
def test_inverse_gives_back_the_free_coordinates(group: int) -> None:
    for place in positions(group):
        products = place.inverse @ place.basis
        assert (products == np.eye(3, dtype=np.int64)).all()
        assert set(np.rint(np.linalg.det(place.basis))) <= {-1.0, 1.0}


@pytest.mark.parametrize("group", SOME)
def test_normaliser_turns_the_group_into_itself(group: int) -> None:
    group_operations, turns = operations(group), normaliser(group)

    def key(w: np.ndarray, t: np.ndarray) -> tuple[int, ...]:
        return (*w.ravel().tolist(), *(t % UNIT).tolist())

    pairs = zip(group_operations.rotations, group_operations.translations, strict=True)
    members = {key(w, t) for w, t in pairs}
    for r, s in zip(turns.rotations, turns.translations, strict=True):
        inverse = np.rint(np.linalg.inv(r)).astype(int)
        for w, t in zip(group_operations.rotations, group_operations.translations, strict=True):
            turned = r @ w @ inverse
            assert key(turned, r @ t + s - turned @ s) in members


@pytest.mark.parametrize(("group", "axes"), [(1, (0, 1, 2)), (4, (1,)), (8, (0, 2)), (36, (2,)), (62, ()), (186, (2,))])
def test_polar_axes(group: int, axes: tuple[int, ...]) -> None:
    assert polar_axes(group) == axes


@pytest.mark.parametrize(("letter", "cells"), [("P", 1), ("A", 2), ("C", 2), ("I", 2), ("R", 3), ("F", 4)])
def test_centring_follows_from_the_symbol(letter: str, cells: int) -> None:
    groups = [group for group in range(1, GROUPS + 1) if symbol(group)[0] == letter]
    assert groups
    assert {len(centring(group)) for group in groups} == {cells}
    assert all((centring(group)[0] == 0).all() for group in groups)


def test_hall_number_is_the_first_setting_of_the_group() -> None:
    for group in (3, 70, 166, 227):
        earlier = spglib.get_spacegroup_type(hall_number(group) - 1)
        assert earlier is not None and earlier.number == group - 1
    with pytest.raises(ValueError, match="231"):
        hall_number(231)


def test_crystal_systems_meet_at_the_right_groups() -> None:
    names = [crystal_system(group) for group in (2, 3, 16, 75, 143, 195)]
    assert names == ["triclinic", "monoclinic", "orthorhombic", "tetragonal", "hexagonal", "cubic"]
