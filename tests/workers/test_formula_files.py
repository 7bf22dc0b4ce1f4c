import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from workers.errors import InvalidFile
from workers.formula_files import Line, read_columns, read_formulas

FORMULAS = ["CsPbI3", "CdTe", "oops", "Cu2ZnSnS4"]


def texts(path: Path, column: str | None = None) -> list[str]:
    return [line.text for line in read_formulas(path, column)]


def test_every_format_gives_the_same_formulas(tmp_path: Path) -> None:
    plain = "\n".join(FORMULAS) + "\n"
    csv = "formula,source\n" + "".join(f"{formula},x\n" for formula in FORMULAS)
    (tmp_path / "a.txt").write_text(plain)
    (tmp_path / "a.csv").write_text(csv)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(csv.encode()))
    (tmp_path / "a.txt.zst").write_bytes(zstandard.compress(plain.encode()))
    pq.write_table(pa.table({"formula": FORMULAS}), tmp_path / "a.parquet")
    for name in ("a.txt", "a.csv", "a.csv.gz", "a.txt.zst", "a.parquet"):
        assert texts(tmp_path / name) == FORMULAS, name


def test_lines_are_numbered_as_an_editor_numbers_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("# known\n\nCsPbI3\r\n  CdTe  \n")
    assert list(read_formulas(tmp_path / "a.txt")) == [Line(3, "CsPbI3"), Line(4, "CdTe")]
    (tmp_path / "a.csv").write_text('id,formula\n1,CsPbI3\n2\n3,"Ca3(PO4)2"\n')
    assert list(read_formulas(tmp_path / "a.csv")) == [Line(2, "CsPbI3"), Line(3, ""), Line(4, "Ca3(PO4)2")]


def test_the_column_is_formula_else_the_first_else_the_one_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,compound\nx,CdTe\n")
    assert texts(tmp_path / "a.csv") == ["x"]
    assert texts(tmp_path / "a.csv", "compound") == ["CdTe"]
    with pytest.raises(InvalidFile, match="name, compound"):
        texts(tmp_path / "a.csv", "formula")


def test_semicolons_part_the_cells_of_some_spreadsheets(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("id;formula;gap\n1;BaTe;1.6\n2;CsPbI3;1,7\n")
    assert [line.text for line in read_formulas(path)] == ["BaTe", "CsPbI3"]
    assert [cells.texts for cells in read_columns(path, ("formula", "gap"))] == [("BaTe", "1.6"), ("CsPbI3", "1,7")]


def test_a_column_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("formula,gap,gap\nBaTe,1.6,1.7\n")
    with pytest.raises(InvalidFile, match="2 columns 'gap'; one is expected"):
        list(read_columns(path, ("formula", "gap")))


def test_a_byte_order_mark_is_no_part_of_the_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("\ufeffother,formula\n1,CdTe\n".encode())
    assert texts(tmp_path / "a.csv") == ["CdTe"]


def test_a_file_that_cannot_be_read_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"CdTe\nNa\xe9\n")
    with pytest.raises(InvalidFile, match=r"latin.txt, line 2: byte 0xe9 is not UTF-8"):
        texts(tmp_path / "latin.txt")
    with pytest.raises(InvalidFile, match="no such file"):
        texts(tmp_path / "missing.csv")
    with pytest.raises(InvalidFile, match="a folder"):
        texts(tmp_path)
    for name in ("bad.parquet", "bad.csv.gz", "bad.txt.zst"):
        (tmp_path / name).write_bytes(b"this is none of these formats")
        with pytest.raises(InvalidFile, match="cannot be read"):
            texts(tmp_path / name)


def test_an_empty_file_has_no_formulas(tmp_path: Path) -> None:
    for name in ("a.txt", "a.csv"):
        (tmp_path / name).write_text("")
        assert texts(tmp_path / name) == []


def test_a_stray_quote_spoils_its_own_line_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('formula,note\nCdTe,x\n"CsPbI3,x\n' + "BaTe,x\n" * 300)
    lines = list(read_formulas(tmp_path / "a.csv"))
    assert len(lines) == 302
    assert lines[0] == Line(2, "CdTe") and lines[2:] == [Line(number, "BaTe") for number in range(4, 304)]


def test_a_csv_without_a_header_keeps_its_first_formula(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\nCsPbI3\nCdTe\n")
    assert list(read_formulas(tmp_path / "a.csv")) == [Line(2, "CsPbI3"), Line(3, "CdTe")]


def test_capital_suffixes_mean_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.TSV").write_text("id\tformula\n1\tCdTe\n")
    (tmp_path / "a.CSV.GZ").write_bytes(gzip.compress(b"formula\nCdTe\n"))
    assert texts(tmp_path / "a.TSV") == texts(tmp_path / "a.CSV.GZ") == ["CdTe"]


def test_damage_inside_a_compressed_file_is_told_in_one_line(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress("".join(f"Cs{n}I\n" for n in range(5000)).encode()))
    packed[200:260] = bytes(60)
    (tmp_path / "a.txt.gz").write_bytes(packed)
    with pytest.raises(InvalidFile, match="cannot be read"):
        texts(tmp_path / "a.txt.gz")
    pq.write_table(pa.table({}), tmp_path / "a.parquet")
    with pytest.raises(InvalidFile, match="no columns"):
        texts(tmp_path / "a.parquet")
