"""Reference structures: known crystals, each with the energy that its source gives it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite, log, nan

from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from workers.compositions import INERT
from workers.crystals import SWELLING, Crystal, flaw, from_structure, make_matcher, reduced, rounded, same
from workers.errors import CrystalError
from workers.symbols import SYMBOLS

HEAVIEST = "Pu"  # the last element that the potential knows
ACCEPTED = f"H to {HEAVIEST} without He, Ne and Ar"
MOST_ATOMS = 1_000  # all their distances are in memory at once
NEW = "new"  # what a candidate is that no reference equals
KNOWN = tuple(symbol for symbol in SYMBOLS[: SYMBOLS.index(HEAVIEST) + 1] if symbol not in INERT)


@dataclass(frozen=True, slots=True)
class Reference:
    """A crystal under its source's id, with that source's energy in eV/atom, if it gives one."""

    source_id: str
    crystal: Crystal
    energy_per_atom: float | None


@dataclass(frozen=True, slots=True)
class Flawed:
    """A row that is no reference: where it stands, and why."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A crystal and the known ones of its composition."""

    crystal: Crystal
    known: tuple[Crystal, ...]


def make_reference(
    place: str, source_id: str, read: Callable[[], Structure], energy: object = None
) -> Reference | Flawed:
    """The reference that a row holds, its energy in eV/atom, or why it is none."""
    try:
        crystal = _readable(read)
        value = None if energy is None else float(energy)  # type: ignore[arg-type]
    except CrystalError as exc:
        return Flawed(place, str(exc.args[1]))
    except (TypeError, ValueError):
        value = nan
    if value is not None and not isfinite(value):
        return Flawed(place, f"its energy is {energy!r}; a number in eV is expected")
    return Reference(source_id, crystal, value)


def match(comparisons: Sequence[Comparison]) -> list[int]:
    """For each crystal the place of the first known one that is the same structure; -1 where none is."""
    matcher = make_matcher()
    return [_first_same(matcher, asked) for asked in comparisons]


def nearest_first(crystal: Crystal, volumes: Sequence[float]) -> list[int]:
    """Which known crystals, given by their volumes in Å³ an atom, may be the same as this one: the likeliest first."""
    ratios = [abs(log(volume_per_atom(crystal) / volume)) for volume in volumes]
    return sorted((i for i, ratio in enumerate(ratios) if ratio < log(SWELLING)), key=lambda i: (ratios[i], i))


def volume_per_atom(crystal: Crystal) -> float:
    """Å³."""
    return crystal.volume / len(crystal.species)


def chemical_system(symbols: Iterable[str]) -> str:
    """Elements in alphabetical order, as `Ba-Te`."""
    return "-".join(sorted(set(symbols)))


def systems_within(system: str) -> Iterator[str]:
    """A chemical system and all that lack some of its elements."""
    symbols = system.split("-")
    return (chemical_system(some) for size in range(1, len(symbols) + 1) for some in combinations(symbols, size))


def _readable(read: Callable[[], Structure]) -> Crystal:
    """The crystal that a row holds; raises CrystalError."""
    try:
        structure = read()
    except Exception as exc:  # of any kind, for a stranger wrote the row; the others go on
        words = " ".join(str(exc).split()) or type(exc).__name__
        raise CrystalError("row", f"no structure can be read of it ({words[:200]})") from exc
    crystal = rounded(from_structure(structure))
    if unknown := sorted({symbol for symbol in crystal.species if symbol not in KNOWN}):
        raise CrystalError("row", f"element {unknown[0]}; {ACCEPTED} are what potential and formulas know")
    if len(crystal.species) > MOST_ATOMS:
        raise CrystalError("row", f"{len(crystal.species)} atoms; at most {MOST_ATOMS} are accepted")
    if problem := flaw(crystal):
        raise CrystalError("row", f"{problem}; a possible crystal is expected")
    return crystal


def _first_same(matcher: StructureMatcher, asked: Comparison) -> int:
    structure = reduced(asked.crystal)
    others = ((i, reduced(crystal)) for i, crystal in enumerate(asked.known))
    return next((i for i, other in others if same(matcher, structure, other)), -1)
