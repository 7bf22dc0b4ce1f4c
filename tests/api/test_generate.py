"""`sluice generate`: so many files, each with the formula that was asked, the same for the same seed."""

from pathlib import Path

import pytest
from pymatgen.core import Structure


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.filterwarnings("ignore:Issues encountered while parsing CIF")  # pymatgen tells that 0.3333 is 1/3
def test_exactly_so_many_files_of_each_formula(sluice, tmp_path: Path) -> None:
    done = sluice("generate", "BaTe", "Cs2 Ti Br6", "BaTe", "-n", 3, "--out", tmp_path / "out", "--seed", 1)
    assert done.status == 0
    assert sorted(contents(tmp_path / "out")) == [
        f"{formula}-00{number}.cif" for formula in ("BaTe", "Cs2TiBr6") for number in range(3)
    ]
    for path in (tmp_path / "out").iterdir():
        assert Structure.from_file(path).composition.reduced_formula == path.name.partition("-")[0]


def test_the_same_seed_gives_the_same_bytes_in_any_company(sluice, tmp_path: Path) -> None:
    for folder, formulas, seed in (("a", ("BaTe", "GaAs"), 5), ("b", ("GaAs",), 5), ("c", ("GaAs",), 6)):
        assert sluice("generate", *formulas, "-n", 2, "--out", tmp_path / folder, "--seed", seed).status == 0
    one, two, other = (contents(tmp_path / folder) for folder in "abc")
    assert {name: one[name] for name in two} == two
    assert two != other


def test_a_larger_number_draws_the_same_samples_and_more(sluice, tmp_path: Path) -> None:
    for folder, count in (("few", 2), ("many", 5)):
        assert sluice("generate", "GaAs", "-n", count, "--out", tmp_path / folder).status == 0
    assert set(contents(tmp_path / "few").values()) <= set(contents(tmp_path / "many").values())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Fe0.62C0.38",), ["Fe0.62C0.38", "fractional"]),
        (("Xx2O",), ["Xx2O"]),
        (("Ca10P6O26H2", "--max-atoms", "20"), ["22 atoms", "20"]),
        (("BaTe", "-n", "0"), ["-n", "0"]),
        (("BaTe", "--space-group", "231"), ["231", "230"]),
        (("BaTe", "--temperature", "0"), ["--temperature", "0"]),
        (("BaTe", "--generator", "composition-predictor"), ["composition-predictor", "crystal-generator"]),
        (("BaTe", "--out", "taken"), ["taken", "folder"]),
    ],
)
def test_a_mistake_is_one_line(sluice, tmp_path: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    (tmp_path / "taken").write_text("a file")
    done = sluice("generate", *arguments)
    assert (done.status, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert all(word in done.stderr for word in words), done.stderr


def test_limits_that_no_crystal_meets_are_told(sluice, tmp_path: Path) -> None:
    done = sluice("generate", "Cs2TiBr6", "--space-group", 227, "--max-atoms", 9, "--out", tmp_path)
    assert (done.status, len(done.stderr.splitlines())) == (2, 1)
    assert "Cs2TiBr6" in done.stderr
