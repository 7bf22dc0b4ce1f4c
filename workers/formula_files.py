"""Files of formulas: CSV, text or Parquet, plain or compressed, read line by line."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from workers.compositions import parse_formula
from workers.errors import InvalidFile, InvalidFormula

FORMULA_COLUMN = "formula"
PARQUET_ROWS = 8192


class Line(NamedTuple):
    """One entry of a file: its number from 1 (the header counts in CSV) and its text."""

    number: int
    text: str


class Cells(NamedTuple):
    """One row of a table: its number as a line has it, and the texts of the columns that were asked for."""

    number: int
    texts: tuple[str, ...]


def read_formulas(path: Path, column: str | None = None) -> Iterator[Line]:
    """The formulas of a file in order; without a column's name `formula`, else the first; raises InvalidFile."""
    with _told(path):
        yield from _parquet(path, column) if _is_parquet(path) else _text(path, column)


def read_columns(path: Path, names: Sequence[str]) -> Iterator[Cells]:
    """Columns of a CSV or Parquet file, row by row; raises InvalidFile."""
    with _told(path):
        yield from _parquet_columns(path, names) if _is_parquet(path) else _csv_columns(path, names)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What cannot be read, in the words of one line."""
    try:
        yield
    except FileNotFoundError as exc:
        raise InvalidFile(path, "no such file; a CSV, text or Parquet file of formulas is expected") from exc
    except IsADirectoryError as exc:
        raise InvalidFile(path, "a folder; a CSV, text or Parquet file of formulas is expected") from exc
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, zstandard.ZstdError, pa.ArrowException) as exc:
        raise InvalidFile(path, f"cannot be read: {exc}") from exc


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _parquet(path: Path, column: str | None) -> Iterator[Line]:
    with pq.ParquetFile(path) as file:
        name = _choose(path, file.schema_arrow.names, column)
    return (Line(number, texts[0]) for number, texts in _parquet_columns(path, [name]))


def _parquet_columns(path: Path, names: Sequence[str]) -> Iterator[Cells]:
    with pq.ParquetFile(path) as file:
        for name in names:
            _choose(path, file.schema_arrow.names, name)
        number = 0
        for batch in file.iter_batches(batch_size=PARQUET_ROWS, columns=list(names)):
            for values in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
                number += 1
                yield Cells(number, tuple("" if value is None else str(value) for value in values))


def _csv_columns(path: Path, names: Sequence[str]) -> Iterator[Cells]:
    if not _is_csv(path):
        raise InvalidFile(path, f"columns {', '.join(names)} asked of a text file; a .csv or .parquet file has columns")
    with _opened(path) as raw:
        rows = _rows(_decoded(raw, path), path)
        _, header = next(rows, (0, []))
        places = [header.index(_choose(path, header, name)) for name in names]
        for number, cells in rows:
            yield Cells(number, tuple(cells[place] if place < len(cells) else "" for place in places))


def _rows(lines: Iterator[str], path: Path) -> Iterator[tuple[int, list[str]]]:
    """Lines by number as cells; what parts them is told by the first one, for spreadsheets also write semicolons."""
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    first = next(numbered, None)
    if first is None:
        return
    plain = ";" if ";" in first[1] and "," not in first[1] else ","
    delimiter = "\t" if ".tsv" in _suffixes(path) else plain
    for number, line in chain([first], numbered):
        yield number, _cells(line, delimiter)


def _text(path: Path, column: str | None) -> Iterator[Line]:
    with _opened(path) as raw:
        lines = _decoded(raw, path)
        if _is_csv(path):
            yield from _csv(lines, path, column)
        else:
            if column is not None:
                raise InvalidFile(path, f"column {column!r} asked of a text file; a .csv or .parquet file has columns")
            yield from _plain(lines)


def _is_csv(path: Path) -> bool:
    return not {".csv", ".tsv"}.isdisjoint(_suffixes(path))


def _suffixes(path: Path) -> list[str]:
    return [suffix.lower() for suffix in path.suffixes]


def _plain(lines: Iterator[str]) -> Iterator[Line]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            yield Line(number, text)


def _csv(lines: Iterator[str], path: Path, column: str | None) -> Iterator[Line]:
    rows = _rows(lines, path)
    first = next(rows, None)
    if first is None:
        return
    header = first[1]
    place = header.index(_choose(path, header, column))
    if column is None and _is_formula(header[place]):
        yield Line(first[0], header[place])  # there is no header: the first line is a formula like the others
    for number, cells in rows:
        yield Line(number, cells[place] if place < len(cells) else "")


def _cells(line: str, delimiter: str) -> list[str]:
    """The cells of one line: a stray quote must not swallow the lines that follow."""
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [""])]
    except csv.Error:
        return [line.strip()]


def _is_formula(text: str) -> bool:
    try:
        return bool(parse_formula(text).elements)
    except InvalidFormula:
        return False


def _choose(path: Path, names: list[str], column: str | None) -> str:
    if not names:
        raise InvalidFile(path, "no columns; a column of formulas is expected")
    if column is None:
        return FORMULA_COLUMN if FORMULA_COLUMN in names else names[0]
    if column not in names:
        raise InvalidFile(path, f"no column {column!r}; the columns are {', '.join(names)}")
    if names.count(column) > 1:
        raise InvalidFile(path, f"{names.count(column)} columns {column!r}; one is expected")
    return column


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as raw:
        if path.suffix.lower() == ".gz":
            yield cast(BinaryIO, gzip.GzipFile(fileobj=raw))
        elif path.suffix.lower() == ".zst":
            yield cast(BinaryIO, io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw)))
        else:
            yield raw


def _decoded(raw: BinaryIO, path: Path) -> Iterator[str]:
    for number, line in enumerate(raw, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as exc:
            place = f"byte {line[exc.start]:#04x}"
            raise InvalidFile(f"{path}, line {number}", f"{place} is not UTF-8; UTF-8 text is expected") from exc
