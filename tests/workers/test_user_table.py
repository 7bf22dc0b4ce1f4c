"""A user's own table: what is read of it, what is told of the rest, and what cannot be learned."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from workers.errors import InvalidFile
from workers.predictors.tuning import user_table
from workers.predictors.tuning.user_table import LEAST, Asked, UserTable, read_table

ELEMENTS = ("H", "Li", "O", "Na", "Cl", "K", "Fe")


def rows(count: int) -> list[tuple[str, object]]:
    return [(f"Na{place + 1}Cl{count}", place / 7) for place in range(count)]


def write(path: Path, table: Sequence[tuple[str, object]], header: str = "composition,note,hardness") -> Path:
    lines = [header, *(f"{formula},x,{target}" for formula, target in table)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read(path: Path, classification: bool = False) -> UserTable:
    return read_table(Asked(path, "composition", "hardness", classification), ELEMENTS)


def test_one_row_a_composition_with_its_target(tmp_path: Path) -> None:
    table = read(write(tmp_path / "mine.csv", rows(60)))
    assert (table.rows, len(table.sheet), table.bad, table.repeated, table.classes) == (60, 60, 0, 0, ())
    assert sorted(table.sheet.targets.tolist()) == pytest.approx([place / 7 for place in range(60)])


def test_blocks_and_compression_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = write(tmp_path / "mine.csv", [*rows(60), ("LiFeKNaO4", 3.0)])
    packed = tmp_path / "mine.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    whole = read(plain).sheet
    monkeypatch.setattr(user_table, "BLOCK", 7)
    cut = read(packed).sheet
    for name in ("numbers", "shares", "names", "targets"):
        assert getattr(whole, name).tolist() == getattr(cut, name).tolist()


def test_what_cannot_be_learned_from_is_told_by_line_and_left_out(tmp_path: Path) -> None:
    bad = [
        ("Xx2", 1.0),
        ("NaCl", ""),
        ("NaCl", "hard"),
        ("NaCl", "inf"),
        ("NaCl", "nan"),
        ("XeO3", 2.0),
        ("", 1.0),
        ("KI", "1_000"),
    ]
    table = read(write(tmp_path / "mine.csv", [*bad, *rows(60)]))
    assert (table.rows, table.bad) == (60, 8)
    assert len(table.bad_lines) == user_table.TOLD
    assert [line.split(":")[0] for line in table.bad_lines] == [f"line {number}" for number in range(2, 7)]
    words = ["Xx", "no hardness", "'hard' is not a number", "inf is not finite", "nan is not finite"]
    assert all(word in line for word, line in zip(words, table.bad_lines, strict=True))


def test_repeated_compositions_are_counted_and_merged(tmp_path: Path) -> None:
    again = [("K2O", 101.0), ("O1K2", 105.0), ("K4 O2", 102.0), ("Fe2O3", 3.0), ("Fe4O6", 3.0)]
    table = read(write(tmp_path / "mine.csv", [*rows(60), *again]))
    assert (table.rows, len(table.sheet), table.repeated, table.differing) == (65, 62, 2, 1)
    assert sorted(table.sheet.targets.tolist())[-1] == 102.0


@pytest.mark.parametrize(
    ("labels", "classes"),
    [(("yes", "no"), ("no", "yes")), ((1, 0), ("0", "1")), (("True", "False"), ("False", "True"))],
)
def test_classes_are_known_by_their_names(
    tmp_path: Path, labels: tuple[object, object], classes: tuple[str, str]
) -> None:
    table = read(write(tmp_path / "mine.csv", [(f, labels[i % 3 == 0]) for i, (f, _) in enumerate(rows(60))]), True)
    assert table.classes == classes
    assert table.sheet.targets.sum() == (40 if str(labels[0]) == classes[1] else 20)


@pytest.mark.parametrize(
    ("table", "classification", "words"),
    [
        (rows(3), False, ["3 compositions", f"at least {LEAST}"]),
        ([("Xx", 1.0), *rows(3)], False, ["3 compositions", "1 rows", "line 2"]),
        ([(formula, 2.5) for formula, _ in rows(60)], False, ["'hardness' is 2.5", "60 compositions"]),
        ([(formula, "yes") for formula, _ in rows(60)], True, ["'hardness' is 'yes'"]),
        (rows(60), True, ["line 4", "third class '0.2857", "two classes"]),
        (
            [(f, i < 4) for i, (f, _) in enumerate(rows(60))],
            True,
            ["4 of 60 compositions", "class 'True'", "at least 10"],
        ),
        ([(formula, "inf") for formula, _ in rows(60)], False, ["0 compositions", "60 rows", "inf is not finite"]),
        ([], False, ["no rows"]),
    ],
)
def test_a_table_that_cannot_be_learned_is_refused(
    tmp_path: Path, table: list[tuple[str, object]], classification: bool, words: list[str]
) -> None:
    with pytest.raises(InvalidFile) as raised:
        read(write(tmp_path / "mine.csv", table), classification)
    assert all(word in str(raised.value) for word in ["mine.csv", *words]), raised.value


def test_a_rare_class_of_a_large_table_must_be_in_each_part_that_is_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_table, "LARGE", 50)
    with pytest.raises(InvalidFile, match="20 of 60 compositions are of class 'True'; at least 40"):
        read(write(tmp_path / "mine.csv", [(f, i < 20) for i, (f, _) in enumerate(rows(60))]), True)


@pytest.mark.parametrize("name", ["mine.csv", "mine.txt", "nowhere.csv"])
def test_a_missing_column_is_told_with_those_that_are_there(tmp_path: Path, name: str) -> None:
    write(tmp_path / "mine.csv", rows(60), header="formula,note,gap")
    write(tmp_path / "mine.txt", rows(60))
    with pytest.raises(InvalidFile) as raised:
        read(tmp_path / name)
    words = {"mine.csv": "'composition'; the columns are formula, note, gap", "mine.txt": "has columns"}
    assert words.get(name, "no such file") in str(raised.value)
