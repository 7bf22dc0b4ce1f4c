"""A table that a user brings: read block by block, what cannot be learned from left out and told line by line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import islice
from math import isfinite
from pathlib import Path

import numpy as np

from workers.errors import InvalidFile, InvalidFormula
from workers.formula_files import Cells, read_columns
from workers.predictors.table import LONGEST
from workers.predictors.tokens import Tokenizer
from workers.predictors.tuning.learning import LARGE, PARTS_OF_LARGE
from workers.predictors.tuning.sheet import Sheet, count_repeats, join, merge, read_sheet

LEAST = 50  # compositions; with fewer, what is held out could not say how good a predictor is
LEAST_OF_CLASS = 10
LEAST_OF_CLASS_IN_LARGE = 2 * PARTS_OF_LARGE  # two in each part, so that what is held out has both classes
BLOCK = 8192  # rows
TOLD = 5  # bad lines that are told one by one
_SHOWN = 60  # characters of a cell in a message


@dataclass(frozen=True, slots=True)
class Asked:
    """Which columns of which file are to be learned, and how."""

    path: Path
    formula: str
    target: str
    classification: bool


@dataclass(frozen=True, slots=True)
class UserTable:
    """One row a composition; the names of the classes, none where there are numbers; what became of the file's rows.

    `repeated` compositions had several rows, `differing` of them different targets: such rows are merged to their
    median, or to the class of most of them.
    """

    asked: Asked
    sheet: Sheet
    classes: tuple[str, ...]
    rows: int
    bad: int
    bad_lines: tuple[str, ...]
    repeated: int
    differing: int


@dataclass(slots=True)
class _Reader:
    """Reads rows, and remembers the classes and the bad lines that it met."""

    asked: Asked
    elements: Sequence[str]
    classes: dict[str, int] = field(default_factory=dict)
    bad: int = 0
    bad_lines: list[str] = field(default_factory=list)

    def sheets(self) -> Iterator[Sheet]:
        """The rows that can be learned, block by block; raises InvalidFile."""
        tokenizer = Tokenizer(self.elements, LONGEST)
        cells = read_columns(self.asked.path, (self.asked.formula, self.asked.target))
        while block := list(islice(cells, BLOCK)):
            read = [pair for row in block if (pair := self._pair(row, tokenizer)) is not None]
            formulas, targets = [formula for formula, _ in read], [target for _, target in read]
            sheet, _ = read_sheet(formulas, targets, self.elements, self.asked.classification)
            yield replace(sheet, names=_digests(sheet.names))

    def _pair(self, row: Cells, tokenizer: Tokenizer) -> tuple[str, float] | None:
        formula, target = row.texts
        try:
            tokenizer.read(formula.replace(" ", ""))
            return formula, self._target(target, row.number)
        except (ValueError, InvalidFormula) as exc:
            self.bad += 1
            if len(self.bad_lines) < TOLD:
                self.bad_lines.append(f"line {row.number}: {exc}")
            return None

    def _target(self, text: str, line: int) -> float:
        """A number or the number of a class; raises ValueError, and InvalidFile at the third class."""
        if not text:
            raise ValueError(f"no {self.asked.target}")
        if self.asked.classification:
            return float(self._class(text, line))
        try:
            value = float("" if "_" in text else text)  # Python reads 1_000 as a thousand
        except ValueError:
            raise ValueError(f"{self.asked.target} {_cut(text)!r} is not a number") from None
        if not isfinite(value):
            raise ValueError(f"{self.asked.target} {_cut(text)} is not finite")
        return value

    def _class(self, text: str, line: int) -> int:
        if text not in self.classes and len(self.classes) == 2:
            both = " and ".join(repr(_cut(known)) for known in self.classes)
            problem = f"column {self.asked.target!r} has a third class {_cut(text)!r} beside {both}"
            raise InvalidFile(f"{self.asked.path}, line {line}", f"{problem}; two classes are expected")
        return self.classes.setdefault(text, len(self.classes))


def read_table(asked: Asked, elements: Sequence[str]) -> UserTable:
    """The table over a vocabulary of elements; raises InvalidFile where it cannot be learned from."""
    reader = _Reader(asked, elements)
    sheets = list(reader.sheets())
    if not sheets:
        raise InvalidFile(asked.path, f"no rows; at least {LEAST} are expected")
    sheet = join(sheets)
    classes, sheet = _ordered(reader.classes, sheet)
    repeated, differing = count_repeats(sheet)
    rows, merged = len(sheet), merge(sheet)
    found = UserTable(asked, merged, classes, rows, reader.bad, tuple(reader.bad_lines), repeated, differing)
    _check(found)
    return found


def _ordered(known: dict[str, int], sheet: Sheet) -> tuple[tuple[str, ...], Sheet]:
    """Classes in the order of the alphabet, so that no is the first and yes the second, and 0 comes before 1."""
    names = tuple(sorted(known, key=str.casefold))
    turned = len(names) == 2 and known[names[0]] == 1
    return names, replace(sheet, targets=1 - sheet.targets) if turned else sheet


def _check(table: UserTable) -> None:
    """Raise InvalidFile where the rows are too few or too much alike."""
    targets, target = table.sheet.targets, table.asked.target
    enough = LEAST_OF_CLASS if len(targets) <= LARGE else LEAST_OF_CLASS_IN_LARGE
    problem = ""
    if len(targets) < LEAST:
        problem = f"{len(targets)} compositions with a {target}; at least {LEAST} are expected"
    elif np.ptp(targets) == 0:
        value = repr(table.classes[0]) if table.classes else f"{targets[0]:g}"
        problem = f"column {target!r} is {value} for all {len(targets)} compositions; there is nothing to learn"
    elif table.classes and (least := int(min(targets.sum(), (1 - targets).sum()))) < enough:
        rare = table.classes[int(targets.sum() == least)]
        among = f"{least} of {len(targets):,} compositions are of class {rare!r}"
        problem = f"{among}; at least {enough} of each class are expected"
    if problem:
        bad = f" ({table.bad} rows could not be read, the first is {table.bad_lines[0]})" if table.bad else ""
        raise InvalidFile(table.asked.path, problem + bad)


def _digests(names: np.ndarray) -> np.ndarray:
    """Identities of one short length: those of a million compositions would fill the memory."""
    return np.array([blake2b(name.encode(), digest_size=8).hexdigest() for name in names.tolist()], dtype="U16")


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
