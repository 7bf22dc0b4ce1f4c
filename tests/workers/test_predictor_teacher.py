"""The teacher: orbits of known crystals, sets that know no order, and modalities that learn to find each other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from workers.crystals import Crystal, from_arrays
from workers.predictors.fitting import Stage
from workers.predictors.teacher.corpus import SCALARS
from workers.predictors.teacher.descriptions import LETTERS, find_orbits, shard_path
from workers.predictors.teacher.encoders import Encoders, TeacherConfig, all_pairs, contrast, merge
from workers.predictors.teacher.materials import EXTRA, Materials, load_materials
from workers.predictors.teacher.targets import Targets, make_targets
from workers.predictors.teacher.teaching import ContrastiveTeacher, Views

WIDTHS = {"features": 12, "atoms": 64}


def rock_salt(edge: float = 5.64, shift: float = 0.0) -> Crystal:
    sites = [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]
    coords = np.array([*sites, *(np.array(sites) + 0.5)]) + shift
    return from_arrays([edge] * 3 + [90.0] * 3, ["Na"] * 4 + ["Cl"] * 4, coords)


@pytest.fixture(scope="module")
def materials() -> Materials:
    """Structures whose energy, group and orbits are all told by one hidden number, as real ones are by their chemistry;
    every third has a polymorph of higher energy."""
    rng = np.random.default_rng(0)
    hidden = rng.uniform(0, 1, 240)
    features = np.stack([hidden * (column + 1) for column in range(WIDTHS["features"])], axis=1)
    features += rng.normal(0, 0.01, features.shape)
    counts = rng.integers(1, 4, 240)
    starts = np.concatenate(([0], np.cumsum(counts)))
    owner = np.repeat(np.arange(240), counts)
    scalars = np.stack([hidden, hidden**2], axis=1).astype(np.float32)
    scalars[::2] = np.nan
    orbits = {
        "numbers": (1 + 80 * hidden[owner]).astype(np.int8),
        "letters": (1 + 20 * hidden[owner]).astype(np.int8),
        "shares": (1 / counts[owner]).astype(np.float32),
        "atoms": np.repeat(hidden[owner, None], WIDTHS["atoms"], axis=1).astype(np.float16),
    }
    names = np.array([f"formula {row - (row % 3 == 2)}" for row in range(240)])
    groups = (1 + 229 * hidden).astype(np.int16)
    return Materials(names, features.astype(np.float32), groups, {"scalars": scalars}, starts, orbits)


def small_encoders(vectors: tuple[tuple[str, int], ...] = (("scalars", 2),)) -> Encoders:
    torch.manual_seed(0)
    return Encoders(TeacherConfig(WIDTHS["features"], vectors, WIDTHS["atoms"], width=32, dimension=16))


def test_orbits_are_those_of_the_crystal_wherever_its_origin_lies() -> None:
    for crystal in (rock_salt(), rock_salt(shift=0.13)):
        found = find_orbits(crystal)
        assert found.group == 225
        assert sorted(found.numbers.tolist()) == [11, 17]
        assert {LETTERS[place - 1] for place in found.letters} == {"a", "b"}
        assert found.shares.tolist() == [0.5, 0.5]


def test_an_order_of_orbits_changes_nothing(materials: Materials) -> None:
    rows = np.arange(10)
    some = materials.take(rows)
    counts = np.diff(some.starts)
    backwards = np.concatenate([np.arange(a, b)[::-1] for a, b in zip(some.starts, some.starts[1:], strict=False)])
    turned = replace(some, orbits={name: array[backwards] for name, array in some.orbits.items()})
    encoders = small_encoders()
    for name, (vectors, _) in encoders(Views(some, 0).view(rows)).items():
        torch.testing.assert_close(vectors, encoders(Views(turned, 0).view(rows))[name][0])
    assert counts.max() > 1


def test_a_material_is_the_same_alone_and_in_company(materials: Materials) -> None:
    views, encoders = Views(materials, 0), small_encoders()
    together, alone = merge(encoders(views.view(np.arange(20)))), merge(encoders(views.view(np.array([7]))))
    torch.testing.assert_close(alone[0], together[7])
    torch.testing.assert_close(together.norm(dim=1), torch.ones(20))


def test_contrast_counts_only_rows_that_know_both() -> None:
    rng = torch.Generator().manual_seed(0)
    first, second = (torch.nn.functional.normalize(torch.randn(6, 8, generator=rng), dim=1) for _ in range(2))
    known = torch.tensor([True, True, False, True, False, True])
    wanted = contrast(first[known], second[known], torch.ones(4, dtype=torch.bool))
    assert contrast(first, second, known).item() == pytest.approx(wanted.item())
    wild = second.clone()
    wild[~known] = float("nan")
    assert contrast(first, wild, known).item() == pytest.approx(wanted.item())
    assert contrast(first, second, torch.arange(6) == 1).item() == 0.0


def test_contrast_is_symmetric_and_least_where_each_finds_its_own() -> None:
    rows = torch.eye(6)
    everywhere = torch.ones(6, dtype=torch.bool)
    rng = torch.Generator().manual_seed(0)
    other = torch.nn.functional.normalize(torch.randn(6, 6, generator=rng), dim=1)
    assert contrast(rows, other, everywhere).item() == pytest.approx(contrast(other, rows, everywhere).item())
    assert contrast(rows, rows, everywhere).item() < contrast(rows, rows.roll(1, 0), everywhere).item()


def test_what_is_unknown_of_a_material_reaches_no_loss_but_its_own(materials: Materials) -> None:
    encoders = small_encoders()
    found = encoders(Views(materials, 0).view(np.arange(40)))
    assert found["scalars"][1].tolist() == [row % 2 == 1 for row in range(40)]
    assert all_pairs(found).isfinite()


def test_a_teacher_learns_to_match_its_modalities(materials: Materials, tmp_path: Path) -> None:
    teacher = ContrastiveTeacher(materials, seed=0, width=32)
    view = Views(materials, 0).view(np.arange(240))
    before = all_pairs(teacher.encoders(view)).item()
    teacher.learn(materials, tmp_path, Stage("teacher", 0.0, 2e-3, 1e-5, 0.0, 0, steps=60))
    assert all_pairs(teacher.encoders(view)).item() < before - 0.3
    targets = make_targets(teacher, materials)
    np.testing.assert_allclose(np.linalg.norm(targets.ground, axis=1), 1.0, atol=1e-4)


class Counting:
    """A teacher that embeds a structure as its place."""

    def embed(self, materials: Materials) -> np.ndarray:
        angles = np.arange(len(materials)) / len(materials)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_the_target_of_a_formula_is_that_of_its_lowest_structure_or_the_mean(
    materials: Materials, tmp_path: Path
) -> None:
    some = materials.take(np.array([0, 1, 2]))  # rows 1 and 2 are of one formula
    some.features[:, 0] = [-1.0, -2.0, -3.0]
    vectors = Counting().embed(some)
    make_targets(Counting(), some).save(tmp_path / "targets.npz")
    targets = Targets.load(tmp_path / "targets.npz")
    names = np.array(["formula 1", "unheard of", "formula 0"])
    ground, mean = targets.rows(names, "ground"), targets.rows(names, "mean")
    np.testing.assert_allclose(ground[[0, 2]], vectors[[2, 0]], rtol=1e-6)
    middle = vectors[1] + vectors[2]
    np.testing.assert_allclose(mean[0], middle / np.linalg.norm(middle), rtol=1e-6)
    assert np.isnan(ground[1]).all() and np.isnan(mean[1]).all()


def test_what_is_held_out_is_in_no_view(materials: Materials) -> None:
    spared = {"formula 1", "formula 3"}
    free = materials.without(spared)
    assert len(free) == 240 - 3 and not spared & set(free.compositions)
    wanted = np.flatnonzero(~np.isin(materials.compositions, list(spared)))
    for name, array in free.orbits.items():
        places = np.concatenate([np.arange(*materials.starts[row : row + 2]) for row in wanted])
        np.testing.assert_array_equal(array, materials.orbits[name][places])


def test_shards_are_read_back_as_materials(tmp_path: Path) -> None:
    for place, name in enumerate(("Cl0.500000 Na0.500000", "")):
        arrays = {
            "names": np.array([f"mp-{place}"]), "compositions": np.array([name]), "groups": np.array([225]),
            "scalars": np.array([[2.0, np.nan, -1.0, np.nan, np.nan, 100.0]], dtype=np.float32),
            "features": np.zeros((1, 422), np.float32), "counts": np.array([2]), "numbers": np.array([11, 17]),
            "letters": np.array([1, 2]), "shares": np.array([0.5, 0.5]), "atoms": np.zeros((2, 64), np.float16),
        }  # fmt: skip
        np.savez(shard_path(tmp_path, place), **arrays)
    found = load_materials(tmp_path)
    assert len(found) == 1 and found.orbits["numbers"].tolist() == [11, 17]
    assert found.vectors["scalars"].shape == (1, len(SCALARS)) and EXTRA not in found.vectors
    with pytest.raises(FileNotFoundError, match="structures"):
        load_materials(tmp_path / "elsewhere")
