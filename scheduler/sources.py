"""Where a campaign's formulas come from: an enumeration, proposals of a generator, slices of a file, or the spec."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from scheduler.errors import InvalidSource
from scheduler.spec import EnumerateSource, FormulaFile, GenerateSource, ListSource, Source, SubstituteSource
from storage.chunks import Chunk
from storage.engine import transaction
from storage.failures import NewFailure, record_failures
from storage.sources import Slice, add_slice, read_formulas
from storage.stages import set_source_size
from storage.states import StageName
from workers.compositions import parse_formula
from workers.enumeration import Enumeration
from workers.errors import InvalidFormula
from workers.formula_files import Line
from workers.formula_files import read_formulas as read_lines
from workers.generator.symmetry.placement import places
from workers.substitution import Substitution

LINES = 8192  # of a file in one slice
LONGEST = 200  # characters of a bad line that are kept


def check_source(source: Source) -> int | None:
    """The size of a source where that is known without keeping it; raises UserError for one that cannot be used."""
    if isinstance(source, ListSource):
        return len(source.formulas)
    if isinstance(source, GenerateSource):
        _check_cell(source)
        return source.count
    if isinstance(source, EnumerateSource):
        size = len(enumeration(source.model_dump_json()))
        if size == 0:
            raise InvalidSource("source: these elements have no charge-balanced composition within max_atoms")
        return size
    # The whole file is read, so that what cannot be read is told before anything is stored.
    if sum(1 for _ in _written(source)) == 0:
        raise InvalidSource(f"{source.path}: empty; a file with at least one formula is expected")
    if next(_lines(source), None) is None:
        raise InvalidSource(f"{source.path}: nothing comes of its formulas; elements that are in them are expected")
    return None


def _check_cell(source: GenerateSource) -> None:
    if source.space_group is None or (smallest := min(places(source.space_group).sizes)) <= source.max_atoms:
        return
    what = f"source.max_atoms = {source.max_atoms}: a cell of space group {source.space_group} has at least {smallest}"
    raise InvalidSource(f"{what} atoms")


def ingest(engine: Engine, campaign_id: int, source: FormulaFile, on_lines: Callable[[int], None]) -> None:
    """Keep a file's formulas with the campaign; the same file gives the same slices, so that a repeat adds nothing.

    Raises InvalidSource where the file is not the one that was begun.
    """
    with _seen() as is_new:
        lines, piece, done = _lines(source), Slice(0, ()), 0
        while batch := list(islice(lines, LINES)):
            piece, failures = _sliced(batch, piece, Path(source.path).name, is_new)
            with transaction(engine) as session:
                record_failures(session, campaign_id, failures)
                if piece.formulas:  # a slice is known by its start, so that an empty one waits for the next
                    _keep(session, campaign_id, piece, source)
            piece = Slice(piece.start + len(piece.formulas), ()) if piece.formulas else piece
            done += len(batch)
            on_lines(done)
    with transaction(engine) as session:
        _keep(session, campaign_id, piece, source)
        set_source_size(session, campaign_id, piece.start)


def _keep(session: Session, campaign_id: int, piece: Slice, source: FormulaFile) -> None:
    if not add_slice(session, campaign_id, piece):
        what = f"{source.path}: changed since campaign {campaign_id} began to read it"
        raise InvalidSource(f"{what}; the file as it was, or a new campaign, is expected")


def formulas_of(session: Session, chunk: Chunk, source: Source) -> list[str]:
    """The formulas of a chunk of the first stage; empty texts where a generator is still to propose them."""
    start, stop = chunk.start or 0, chunk.stop or 0
    if isinstance(source, ListSource):
        return source.formulas[start:stop]
    if isinstance(source, GenerateSource):
        return [""] * (stop - start)
    if isinstance(source, FormulaFile):
        return read_formulas(session, chunk.campaign_id, start, stop)
    return [composition.formula for composition in enumeration(source.model_dump_json()).slice(start, stop)]


@lru_cache(maxsize=4)
def enumeration(source: str) -> Enumeration:
    """The enumeration of a source in JSON; raises InvalidEnumeration."""
    spec = EnumerateSource.model_validate_json(source)
    return Enumeration(
        cations=tuple(spec.cations),
        anions=tuple(spec.anions),
        cation_counts=tuple(spec.cation_counts),
        anion_counts=tuple(spec.anion_counts),
        max_amount=spec.max_amount,
        max_atoms=spec.max_atoms,
    )


def _written(source: FormulaFile) -> Iterator[Line]:
    return read_lines(Path(source.path), source.column)


def _lines(source: FormulaFile) -> Iterator[Line]:
    """The formulas to be screened, each with the line that it comes from; a bad line stays as it is."""
    if not isinstance(source, SubstituteSource):
        return _written(source)
    substitution = source.substitution()
    return (Line(line.number, text) for line in _written(source) for text in _substituted(line.text, substitution))


def _substituted(text: str, substitution: Substitution) -> Iterator[str]:
    try:
        known = parse_formula(text)
    except InvalidFormula:
        yield text
    else:
        yield from (made.formula for made in substitution.of(known))


def _sliced(
    lines: list[Line], before: Slice, file: str, is_new: Callable[[str], bool]
) -> tuple[Slice, list[NewFailure]]:
    """The slice of these lines, with the counts of lines before it that gave no formula."""
    formulas, failures, duplicate = [], [], before.duplicate
    for line in lines:
        try:
            formula = parse_formula(line.text).formula
        except InvalidFormula as exc:
            place = f"{file}, line {line.number}"
            failures.append(NewFailure(StageName.PREDICT, _kept(line.text), place, "invalid", str(exc)))
            continue
        if is_new(formula):
            formulas.append(formula)
        else:
            duplicate += 1
    return Slice(before.start, tuple(formulas), before.invalid + len(failures), duplicate), failures


def _kept(text: str) -> str:
    """As much of a bad line as is kept; PostgreSQL stores no NUL."""
    return text.replace("\0", "\ufffd")[:LONGEST]


@contextmanager
def _seen() -> Iterator[Callable[[str], bool]]:
    """A set of formulas on disk: memory does not grow with the file."""
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "seen.db", isolation_level=None)
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("CREATE TABLE seen (hash BLOB PRIMARY KEY) WITHOUT ROWID")
        database.execute("BEGIN")

        def is_new(formula: str) -> bool:
            key = blake2b(formula.encode(), digest_size=16).digest()
            return database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,)).rowcount == 1

        try:
            yield is_new
        finally:
            database.close()
