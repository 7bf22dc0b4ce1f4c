"""`sluice generate`: so many files, each with the formula that was asked, the same for the same seed."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Structure

from api.local_crystals import TRIES, Drawn, draw
from api.sampling import Sampling
from api.space_groups import group_number
from workers import cards
from workers.cards import WEIGHTS, load_checkpoint, save_checkpoint
from workers.crystals import Crystal, from_structure, space_group
from workers.generator.kinds import GENERATORS
from workers.generator.requests import CrystalRequest, Generated
from workers.oxidation import can_be_neutral

SHIPPED = [grammar for grammar, name in GENERATORS.items() if (cards.PRETRAINED / name).is_dir()]

pytestmark = pytest.mark.filterwarnings("ignore:Issues encountered while parsing CIF")  # 0.3333 is 1/3, pymatgen tells


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def crystals(folder: Path) -> dict[str, Crystal]:
    return {path.name: from_structure(Structure.from_file(path)) for path in sorted(folder.iterdir())}


def test_exactly_so_many_files_of_each_formula(sluice, tmp_path: Path) -> None:
    done = sluice("generate", "BaTe", "Cs2 Ti Br6", "BaTe", "-n", 3, "--out", tmp_path / "out", "--seed", 1)
    assert done.status == 0
    assert sorted(contents(tmp_path / "out")) == [
        f"{formula}-00{number}.cif" for formula in ("BaTe", "Cs2TiBr6") for number in range(3)
    ]
    assert all(name.startswith(f"{crystal.formula}-") for name, crystal in crystals(tmp_path / "out").items())


@pytest.mark.parametrize("grammar", SHIPPED)
def test_every_shipped_generator_writes_the_same_bytes_for_the_same_seed(sluice, tmp_path: Path, grammar: str) -> None:
    for folder, formulas, seed in (("a", ("BaTe", "GaAs"), 5), ("b", ("GaAs",), 5), ("c", ("GaAs",), 6)):
        asked = ("--generator", grammar, "-n", 2, "--out", tmp_path / folder, "--seed", seed)
        assert sluice("generate", *formulas, *asked).status == 0
    one, two, other = (contents(tmp_path / folder) for folder in "abc")
    assert list(two) == ["GaAs-000.cif", "GaAs-001.cif"]
    assert {name: one[name] for name in two} == two
    assert two != other


def test_a_larger_number_draws_the_same_samples_and_more(sluice, tmp_path: Path) -> None:
    for folder, count in (("few", 2), ("many", 5)):
        assert sluice("generate", "GaAs", "-n", count, "--out", tmp_path / folder).status == 0
    assert set(contents(tmp_path / "few").values()) <= set(contents(tmp_path / "many").values())


def test_without_a_formula_the_model_proposes_them(sluice, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        asked = ("-n", 5, "--charge-balanced", "--density", 5, "--guidance", 2, "--max-atoms", 12, "--seed", 3)
        assert sluice("generate", *asked, "--out", tmp_path / folder).status == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    found = crystals(tmp_path / "a")
    counts = Counter(crystal.formula for crystal in found.values())
    assert sorted(found) == sorted(f"{name}-{i:03d}.cif" for name, count in counts.items() for i in range(count))
    assert sum(counts.values()) == 5
    for crystal in found.values():
        amounts = {symbol: crystal.species.count(symbol) for symbol in crystal.species}
        assert len(crystal.species) <= 12 and can_be_neutral(tuple(amounts), tuple(amounts.values()))


def test_space_group_and_formula_units_are_as_asked(sluice, tmp_path: Path) -> None:
    asked = ("--space-group", "Fm-3m", "--units", 1, "--top-p", 0.9, "-n", 3, "--out", tmp_path)
    assert sluice("generate", "BaTe", "Cs2TiBr6", *asked).status == 0
    found = crystals(tmp_path)
    assert {space_group(crystal) for crystal in found.values()} == {225}
    assert [len(crystal.species) for crystal in found.values()] == [2, 2, 2, 9, 9, 9]


def test_cells_may_be_larger_than_twenty_atoms_where_that_is_asked(sluice, tmp_path: Path) -> None:
    assert sluice("generate", "Ca10P6O26H2", "--max-atoms", 44, "--out", tmp_path).status == 0
    [crystal] = crystals(tmp_path).values()
    assert crystal.formula == "Ca5P3HO13" and len(crystal.species) in (22, 44)


def test_lowest_energy_comes_first_where_that_is_asked(sluice, tmp_path: Path) -> None:
    from workers.potentials import Potential

    assert sluice("generate", "GaAs", "-n", 4, "--rank", "energy", "--out", tmp_path, "--temperature", 2).status == 0
    energies = Potential().energies(list(crystals(tmp_path).values()))
    assert energies[0] == pytest.approx(min(energies), abs=1e-3)  # a file holds rounded numbers


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Fe0.62C0.38",), ["Fe0.62C0.38", "fractional"]),
        (("Xx2O",), ["Xx2O"]),
        (("Ca10P6O26H2", "--max-atoms", "20"), ["22 atoms", "20"]),
        (("BaTe", "--units", "11"), ["22 atoms in 11 formula units", "20"]),
        (("--units", "30"), ["20 atoms", "30"]),
        (("BaTe", "-n", "0"), ["-n", "0"]),
        (("BaTe", "-n", "99999999999999999999"), ["-n", "100000"]),
        (("BaTe", "--space-group", "231"), ["231", "230"]),
        (("BaTe", "--space-group", "Fm-3q"), ["--space-group", "Fm-3q", "Fm-3m"]),
        (("BaTe", "--temperature", "0"), ["--temperature", "0"]),
        (("BaTe", "--temperature", "nan"), ["--temperature", "nan"]),
        (("BaTe", "--top-p", "1.5"), ["--top-p", "1.5"]),
        (("BaTe", "--guidance", "-1"), ["--guidance", "-1"]),
        (("BaTe", "--density", "30"), ["density 30", "0.1 to 25 g/cm³"]),
        (("BaTe", "--band-gap", "nan"), ["band_gap nan", "0 to 18 eV"]),
        (("BaTe", "--magnetization-density", "1"), ["magnetization_density 1", "0.3 μB/Å³"]),
        (("BaTe", "--hhi", "0.5"), ["hhi 0.5", "500 to 10000"]),
        (("BaTe", "--bulk-modulus", "-3"), ["bulk_modulus -3", "GPa"]),
        (("BaTe", "--rank", "beauty"), ["--rank", "beauty", "both"]),
        (("BaTe", "--grammar", "latin"), ["--grammar", "latin", "materium"]),
        (("BaTe", "--grammar", "materium", "--generator", "crystal-generator"), ["materium", "'crystal-generator'"]),
        (("BaTe", "--generator", "composition-predictor"), ["composition-predictor", "crystal-generator"]),
        (("BaTe", "--generator", "nowhere"), ["nowhere", "not found"]),
        (("BaTe", "--generator", ""), ["--generator ''", "crystal-generator"]),
        (("BaTe", "--out", "taken"), ["taken", "folder"]),
        (("BaTe", "--out", "x" * 300), ["--out x", "too long", "folder"]),
        (("BaTe", "--out", "/proc"), ["--out /proc", "written to"]),
    ],
)
def test_a_mistake_is_one_line(sluice, tmp_path: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    (tmp_path / "taken").write_text("a file")
    done = sluice("generate", *arguments)
    assert (done.status, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Cs2TiBr6", "--space-group", 227, "--max-atoms", 9), ["Cs2TiBr6", "space group 227"]),
        (("Ca31P40O30", "BaTe", "--max-atoms", 64), ["Ca31P40O30", "101 atoms", "at most 64"]),
        (("BaTe", "--max-atoms", 200), ["--max-atoms", "200", "64"]),
        (("NaCl", "--units", 3, "--space-group", 225), ["NaCl", "3 formula units", "space group 225"]),
        (("NaCl2", "--charge-balanced"), ["NaCl2", "neutral"]),
        (("LiNaKRbCsMgCaSrBa",), ["9 elements", "at most 8"]),
        (("--space-group", 230, "--max-atoms", 5), ["space group 230", "at least 8 atoms", "at most 5"]),
    ],
)
def test_limits_that_no_crystal_meets_are_told(sluice, tmp_path: Path, arguments: tuple, words: list[str]) -> None:
    done = sluice("generate", *arguments, "--out", tmp_path)
    assert (done.status, len(done.stderr.splitlines())) == (2, 1)
    assert all(word in done.stderr for word in words), done.stderr
    assert "samples" not in done.stderr  # nothing had to be drawn to know it


def not_json(folder: Path) -> None:
    (folder / "card.json").write_text("{")


def flipped(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)


def foreign(folder: Path) -> None:
    _, kept = load_checkpoint(folder)
    save_checkpoint(folder, {"weight": np.zeros(3)}, **fields(folder))
    assert kept


def poisoned(folder: Path) -> None:
    _, arrays = load_checkpoint(folder)
    name = max(arrays, key=lambda key: arrays[key].size)
    arrays[name].flat[7] = np.nan
    save_checkpoint(folder, arrays, **fields(folder))


def resized(folder: Path) -> None:
    _, arrays = load_checkpoint(folder)
    given = fields(folder)
    config = dict(given["config"])  # type: ignore[call-overload]
    size = {"network": {**config["network"], "layers": 5}} if "network" in config else {"layers": 5}
    save_checkpoint(folder, arrays, **{**given, "config": {**config, **size}})


def fields(folder: Path) -> dict[str, object]:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    del card["model_id"]
    return card


@pytest.mark.parametrize("spoil", [not_json, flipped, foreign, poisoned, resized])
@pytest.mark.parametrize("grammar", SHIPPED)
def test_a_spoilt_checkpoint_is_told_in_one_line(
    sluice, tmp_path: Path, grammar: str, spoil: Callable[[Path], None]
) -> None:
    folder = shutil.copytree(cards.PRETRAINED / GENERATORS[grammar], tmp_path / "spoilt")
    spoil(folder)
    done = sluice("generate", "BaTe", "--generator", folder)
    assert (done.status, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert "checkpoint" in done.stderr


class Rolling:
    """A generator whose every sample is a cube; every third fails, and whatever holds xenon."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def generate(self, requests: Sequence[CrystalRequest]) -> list[Generated]:
        self.calls.append(len(requests))
        return [self._one(request) for request in requests]

    def _one(self, request: CrystalRequest) -> Generated:
        if request.seed % 3 == 0 or request.formula == "XeF2":
            return Generated(None, -np.inf, "two atoms 0.10 Å apart")
        formula = request.formula or ("NaCl", "KBr")[request.seed % 2]
        species = ("Na", "Cl") if formula == "NaCl" else ("K", "Br")
        edge = 5.0 + request.seed % 1000 / 100
        cell = Crystal((edge, edge, edge, 90.0, 90.0, 90.0), species, ((0.0,) * 3, (0.5,) * 3))
        return Generated(cell, -100 * edge, None, -100 * edge)


@pytest.fixture
def rolling(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rolling]:
    generator = Rolling()
    monkeypatch.setattr("api.local_crystals.load_generator", lambda *_: generator)
    yield generator


def drawn(count: int, *formulas: str) -> list[Drawn]:
    return list(draw(formulas, "any", Sampling(count=count, seed=1)))


def test_what_failed_is_drawn_again_in_few_calls(rolling: Rolling) -> None:
    found = drawn(100, "NaCl", "KBr")
    assert [(one.formula, len(one.crystals), one.flaw) for one in found] == [("NaCl", 100, None), ("KBr", 100, None)]
    assert rolling.calls[0] == 200 and len(rolling.calls) <= 5 and sum(rolling.calls) < 400


def test_many_samples_are_drawn_some_at_a_time(rolling: Rolling) -> None:
    assert sum(len(one.crystals) for one in drawn(300, "NaCl", "KBr", "RbI")) == 900
    assert max(rolling.calls) <= 512


def test_a_formula_that_is_given_up_stops_no_other(rolling: Rolling) -> None:
    given_up, fine = drawn(2, "XeF2", "NaCl")
    assert given_up.flaw == f"0 of 2 crystals in {2 * TRIES} samples: two atoms 0.10 Å apart"
    assert len(fine.crystals) == 2 and fine.flaw is None


def test_the_likeliest_comes_first_and_proposals_go_by_their_own_formula(rolling: Rolling) -> None:
    found = drawn(20)
    assert [one.formula for one in found] == ["KBr", "NaCl"] and sum(len(one.crystals) for one in found) == 20
    for one in found:
        assert {crystal.formula for crystal in one.crystals} == {one.formula}
        edges = [crystal.lattice[0] for crystal in one.crystals]
        assert edges[0] == min(edges)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), (" 230 ", 230), ("0", None), ("231", None), ("-3", None), ("²", None), ("", None), ("fm-3m", None),
     ("Fm-3m", 225), ("P2_1/c", 14), ("P21/c", 14), ("P 1 21/c 1", 14), ("C12/m1", 12), ("Aba2", 41),
     ("I4_1/amd", 141)],
)  # fmt: skip
def test_space_groups_as_people_write_them(text: str, number: int | None) -> None:
    assert group_number(text) == number
