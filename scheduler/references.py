"""Sets of references: filled from files or the Materials Project, then measured against the structure predictor."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Engine

from storage.engine import reading, transaction
from storage.references import (
    NewSet,
    ReferenceSet,
    add_references,
    begin_set,
    drop_set,
    finish_set,
    smallest_of_each_element,
)
from workers.crystals import Crystal
from workers.errors import InvalidFile, UserError
from workers.materials_project import Asked, Source
from workers.models import find_card, load_model
from workers.properties import Predicted
from workers.reference_files import read_references
from workers.reference_scales import ENERGY, fit_scale
from workers.references import Flawed, Reference

BATCH = 1_000  # rows of one transaction
EACH = 20  # structures of each element that tell how energies compare
MODEL = "structure-predictor"
LEVEL = "Materials Project, GGA/GGA+U/r2SCAN mixing scheme"

Tell = Callable[[Flawed], None]
Say = Callable[[str], None]


class Predictor(Protocol):
    """What tells formation energies of crystals."""

    def predict(self, crystals: Sequence[Crystal]) -> list[Predicted]:
        """Value and standard deviation by property, their names prefixed with structure_."""


def import_references(engine: Engine, path: Path, new: NewSet, tell: Tell, say: Say) -> ReferenceSet:
    """A new set of the structures in a file or folder, which from then on bears the name; raises InvalidFile."""
    rows = _distinct(read_references(path))
    with transaction(engine) as session:
        held = begin_set(session, new, time.time())
    while batch := list(islice(rows, BATCH)):
        held = _added(engine, held, batch, held.cursor + len(batch), tell)
        say(f"{held.entries} structures")
    if held.entries == 0:
        _forget(engine, held)
        raise InvalidFile(path, f"none of its {held.cursor} entries is a structure that can be used")
    return finish(engine, held, say)


def fetch_references(engine: Engine, source: Source, asked: Asked, new: NewSet, tell: Tell, say: Say) -> ReferenceSet:
    """A set of what the Materials Project has of what is asked; goes on where an earlier attempt at the same release
    stopped. Raises WrongKey, Unreachable, and UserError where there is nothing."""
    origin = {**new.origin, "release": source.version(), **asked.parameters()}
    with transaction(engine) as session:
        held = begin_set(session, replace(new, origin=origin), time.time(), resume=True)
    while held.total is None or held.cursor < held.total:
        page = source.page(asked, held.cursor)
        # A page without rows before the end would be asked for again and again.
        cursor = held.cursor + page.count if page.count else page.total
        held = _added(engine, held, page.rows, cursor, tell, page.total)
        say(f"{held.cursor} of {held.total} materials")
    if held.entries == 0:
        _forget(engine, held)
        within = ", ".join(asked.systems) or "all systems"
        raise UserError(f"the Materials Project has nothing that is asked for in {within}")
    return finish(engine, held, say)


def finish(engine: Engine, held: ReferenceSet, say: Say) -> ReferenceSet:
    """Measure how the set's energies compare with the predictor's, and let its name mean it."""
    with reading(engine) as session:
        sample = smallest_of_each_element(session, held.id, EACH)
    scale: dict[str, Any] | None = None
    if sample:
        say(f"comparing the energies of {len(sample)} structures with those of {MODEL}")
        model: Predictor = load_model(MODEL, "cpu")  # type: ignore[assignment]
        crystals = {key: Crystal.from_dict(crystal) for key, (crystal, _) in sample.items()}
        scale = measured(model, crystals, {key: energy for key, (_, energy) in sample.items()})
    with transaction(engine) as session:
        return finish_set(session, held, None if scale is None else {find_card(MODEL).model_id: scale}, time.time())


def measured(model: Predictor, crystals: dict[str, Crystal], energies: dict[str, float]) -> dict[str, Any] | None:
    """The scale between energies in eV/atom and a model's formation energies of the same crystals, as JSON values; None
    where too few of them can be compared."""
    answers = dict(zip(crystals, model.predict(list(crystals.values())), strict=True))
    keys = [key for key, answer in answers.items() if ENERGY in answer]
    if not keys:
        return None
    formation = [answers[key][ENERGY][0] for key in keys]
    scale = fit_scale([crystals[key].formula for key in keys], [energies[key] for key in keys], formation)
    return None if scale is None else scale.to_dict()


def _forget(engine: Engine, held: ReferenceSet) -> None:
    with transaction(engine) as session:
        drop_set(session, held.id)


def _added(
    engine: Engine,
    held: ReferenceSet,
    rows: Sequence[Reference | Flawed],
    cursor: int,
    tell: Tell,
    total: int | None = None,
) -> ReferenceSet:
    for row in rows:
        if isinstance(row, Flawed):
            tell(row)
    with transaction(engine) as session:
        good = [row for row in rows if isinstance(row, Reference)]
        return add_references(session, held, good, cursor, total)


def _distinct(rows: Iterable[Reference | Flawed]) -> Iterator[Reference | Flawed]:
    """The rows, an id that comes again as a flaw."""
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        if isinstance(row, Reference) and row.source_id in seen:
            yield Flawed(f"entry {number}", f"id {row.source_id!r} stands there twice; the first counts")
        else:
            seen.update({row.source_id} if isinstance(row, Reference) else ())
            yield row
