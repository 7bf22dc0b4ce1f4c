"""What programs read: CSV, JSON, JSON Lines and Parquet, written row by row."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import RawIOBase, StringIO
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

Row = Mapping[str, Any]

TYPES = {"campaign": pa.int64(), "formula": pa.string(), "verdict": pa.string()}
CSV_ROWS = 256
PARQUET_ROWS = 8192


def write_csv(out: TextIO, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Columns and rows; floats as the shortest text that reads back as the same number, unknown as nothing."""
    for text in csv_texts(columns, rows):
        out.write(text)


def csv_texts(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """CSV, piece by piece."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for batch in _batches(rows, CSV_ROWS):
        writer.writerows([_cell(row[name]) for name in columns] for row in batch)
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    yield out.getvalue()


def json_lines(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """JSON Lines, piece by piece: an object for each row, null where a value is unknown or not finite."""
    for batch in _batches(rows, CSV_ROWS):
        yield "".join(f"{dumps({name: row[name] for name in columns})}\n" for row in batch)


def write_json(out: TextIO, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """One array of objects, null where a value is unknown or not finite."""
    out.write("[")
    for number, row in enumerate(rows):
        out.write(",\n " if number else "\n ")
        out.write(dumps({name: row[name] for name in columns}))
    out.write("\n]\n")


def write_parquet(out: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """One table, doubles but for the names."""
    with out.open("wb") as file:
        for piece in parquet_pieces(columns, rows):
            file.write(piece)


def parquet_pieces(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[bytes]:
    """The bytes of a Parquet file, a group of rows at a time."""
    schema = pa.schema([(name, TYPES.get(name, pa.float64())) for name in columns])
    out = _Outlet()
    with pq.ParquetWriter(pa.PythonFile(out, mode="w"), schema) as writer:
        for batch in _batches(rows, PARQUET_ROWS):
            writer.write_table(pa.Table.from_pylist([dict(row) for row in batch], schema=schema))
            yield out.taken()
    yield out.taken()


def dumps(value: object, indent: int | None = None) -> str:
    """JSON that any reader takes: no NaN, no infinity."""
    return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, indent=indent)


class _Outlet(RawIOBase):
    """A file whose bytes are taken away as they come."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _finite(value: object) -> object:
    match value:
        case float():
            return value if isfinite(value) else None
        case Mapping():
            return {key: _finite(entry) for key, entry in value.items()}
        case list() | tuple():
            return [_finite(entry) for entry in value]
    return value


def _cell(value: object) -> object:
    return repr(value) if isinstance(value, float) else value


def _batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    source = iter(rows)
    while batch := list(islice(source, size)):
        yield batch
