"""What programs read: CSV, JSON and Parquet, written row by row."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

Row = Mapping[str, Any]

TYPES = {"campaign": pa.int64(), "formula": pa.string(), "verdict": pa.string()}
PARQUET_ROWS = 8192


def write_csv(out: TextIO, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Columns and rows; floats as the shortest text that reads back as the same number, unknown as nothing."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in columns])


def write_json(out: TextIO, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """One array of objects, null where a value is unknown or not finite."""
    out.write("[")
    for number, row in enumerate(rows):
        out.write(",\n " if number else "\n ")
        out.write(dumps({name: row[name] for name in columns}))
    out.write("\n]\n")


def write_parquet(out: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """One table, doubles but for the names."""
    schema = pa.schema([(name, TYPES.get(name, pa.float64())) for name in columns])
    with pq.ParquetWriter(out, schema) as writer:
        for batch in _batches(rows, PARQUET_ROWS):
            writer.write_table(pa.Table.from_pylist([dict(row) for row in batch], schema=schema))


def dumps(value: object, indent: int | None = None) -> str:
    """JSON that any reader takes: no NaN, no infinity."""
    return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, indent=indent)


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
