"""What OPTIMADE's fields of a structure mean here: each test of one, as a filter over our own properties.

A list is asked for its members and its length, and no list but that of the elements is stored: the others follow from
the elements, from the number of sites, or are the same for every crystal.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from workers.compositions import parse_formula
from workers.errors import InvalidFormula
from workers.filter_tree import (
    ALWAYS,
    NEVER,
    And,
    Compare,
    ComparePair,
    Filter,
    Has,
    Known,
    Value,
    is_foreign,
)
from workers.symbols import SYMBOLS

PREFIX = "_sluice_"
ALIASES = {"chemical_formula_descriptive": "formula", "space_group_it_number": "space_group"}
FORMULAS = ("formula", "chemical_formula_reduced", "chemical_formula_hill")
TIMES = ("last_modified",)
TYPE = "structures"
PERIODIC = (1, 1, 1)
# Nothing here has them, which is no mistake of who asks.
ABSENT = (
    "immutable_id",
    "assemblies",
    "space_group_symbol_hall",
    "space_group_symbol_hermann_mauguin",
    "space_group_symbol_hermann_mauguin_extended",
    "space_group_symmetry_operations_xyz",
)
HAS_CRYSTAL = Known("nsites", True)

MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
ORDERED: dict[str, Callable[[Value, Value], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True)
class FixedList:
    """A list that is the same for every crystal."""

    members: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class ElementList:
    """A list whose members are the candidate's elements, its length a property."""

    length: str


@dataclass(frozen=True, slots=True)
class Length:
    """A list of which only the length is asked: a property, or the same number for every crystal."""

    length: str | float


Listed = FixedList | ElementList | Length

LISTS: dict[str, Listed] = {
    "elements": ElementList("nelements"),
    "elements_ratios": Length("nelements"),
    "species_at_sites": ElementList("nsites"),
    "species": Length("nelements"),
    "cartesian_site_positions": Length("nsites"),
    "lattice_vectors": Length(3.0),
    "dimension_types": FixedList(PERIODIC),
    "structure_features": FixedList(()),
}
WITHOUT_CRYSTAL = ("elements", "elements_ratios")
CONSTANTS: dict[str, Value] = {"type": TYPE, "nperiodic_dimensions": float(sum(PERIODIC))}


class Unanswered(Exception):
    """Why a test that OPTIMADE leaves open is not answered here."""


class Misread(Unanswered):
    """Why a test can nowhere be answered."""


def our_name(name: str) -> str:
    """The name that a property bears here."""
    bare = name.removeprefix(PREFIX)
    return ALIASES.get(bare, bare)


def compared(name: str, op: str, value: Value) -> Filter:
    """`name op value`; raises Unanswered."""
    if name in ABSENT:
        return NEVER
    if name in LISTS:
        raise Unanswered(f'{name} is a list; HAS, as in elements HAS "Te", is expected')
    if name in CONSTANTS:
        return And((known(name, True), _fixed(CONSTANTS[name], op, value)))
    if name in FORMULAS:
        return _formula(name, op, value)
    if name in TIMES and isinstance(value, str):
        return Compare(name, _ordered(name, op), _seconds(value))
    return Compare(name, op, value)


def compared_pair(name: str, op: str, other: str) -> Filter:
    """`name op other name`; raises Unanswered."""
    for each in (name, other):
        if each in ABSENT:
            return NEVER
        if each in LISTS:
            raise Unanswered(f"{each} is a list; two texts or two numbers are compared")
    if name in CONSTANTS:
        return And((known(name, True), compared(other, MIRRORED[op], CONSTANTS[name])))
    if other in CONSTANTS:
        return And((known(other, True), compared(name, op, CONSTANTS[other])))
    return ComparePair(name, op, other)


def known(name: str, flag: bool) -> Filter:
    """`name IS KNOWN`, or IS UNKNOWN."""
    if name in ABSENT:
        return NEVER if flag else ALWAYS
    if name in WITHOUT_CRYSTAL or name == "type":
        return ALWAYS if flag else NEVER
    if name in LISTS or name in CONSTANTS:
        return Known("nsites", flag)
    return Known("formula" if name == "chemical_formula_hill" else name, flag)


def length(name: str, op: str, number: float) -> Filter:
    """`name LENGTH op number`; raises Unanswered."""
    if name in ABSENT or is_foreign(name):
        return known(name, True)  # which does not hold
    match LISTS.get(name):
        case FixedList(members):
            return And((HAS_CRYSTAL, _fixed(float(len(members)), op, number)))
        case Length(float() as size):
            return And((HAS_CRYSTAL, _fixed(size, op, number)))
        case ElementList(str() as counted) | Length(str() as counted):
            test = Compare(counted, op, number)
            return test if name in WITHOUT_CRYSTAL else And((HAS_CRYSTAL, test))
    raise Unanswered(f"{name} is no list; LENGTH is for {', '.join(LISTS)}")


def has(name: str, mode: str, members: Sequence[tuple[str, Value]]) -> Filter:
    """`name HAS mode op value, op value, …`; raises Unanswered."""
    if name in ABSENT or is_foreign(name):
        return known(name, True)  # which does not hold
    match LISTS.get(name):
        case ElementList():
            test = _has_elements(mode, members)
            return test if name in WITHOUT_CRYSTAL else And((HAS_CRYSTAL, test))
        case FixedList(owned):
            return And((HAS_CRYSTAL, ALWAYS if _has_fixed(owned, mode, members) else NEVER))
    asked = [key for key, listed in LISTS.items() if not isinstance(listed, Length)]
    raise Unanswered(f"HAS is for {', '.join(asked)}, not for {name}")


def _has_elements(mode: str, members: Sequence[tuple[str, Value]]) -> Filter:
    sets = [_symbols(op, value) for op, value in members]
    if all(op == "=" for op, _ in members):
        return Has("elements", mode, tuple(symbol for symbols in sets for symbol in symbols))
    if mode == "ALL":
        return And(tuple(Has("elements", "ANY", symbols) for symbols in sets))
    return Has("elements", mode, tuple(symbol for symbol in SYMBOLS if any(symbol in symbols for symbols in sets)))


def _symbols(op: str, value: Value) -> tuple[str, ...]:
    if not isinstance(value, str):
        raise Unanswered(f'{value:g} is not an element; a symbol between quotes, as in elements HAS "Te", is expected')
    if value not in SYMBOLS and op in ("=", "!="):
        raise Misread(f"{value!r} is not an element of H to Lr")
    return tuple(symbol for symbol in SYMBOLS if ORDERED[op](symbol, value))


def _has_fixed(owned: Sequence[Value], mode: str, members: Sequence[tuple[str, Value]]) -> bool:
    def held(mine: Value, op: str, value: Value) -> bool:
        return isinstance(mine, str) == isinstance(value, str) and ORDERED[op](mine, value)

    match mode:
        case "ALL":
            return all(any(held(mine, *member) for mine in owned) for member in members)
        case "ANY":
            return any(held(mine, *member) for mine in owned for member in members)
    return all(any(held(mine, *member) for member in members) for mine in owned)


def _fixed(mine: Value, op: str, value: Value) -> Filter:
    if isinstance(mine, str) != isinstance(value, str):
        raise Unanswered(f"{value!r}: {'a quoted text' if isinstance(mine, str) else 'a number'} is expected")
    fuzzy = {"CONTAINS": str.__contains__, "STARTS": str.startswith, "ENDS": str.endswith}
    holds = fuzzy[op](str(mine), str(value)) if op in fuzzy else ORDERED[op](mine, value)
    return ALWAYS if holds else NEVER


def _formula(name: str, op: str, value: Value) -> Filter:
    """Equal formulas are equal in any spelling; how they sort and what they contain depends on it."""
    if op in ("=", "!=") and isinstance(value, str):
        return Compare("formula", op, _canonical(value))
    if name == "chemical_formula_hill":
        raise Unanswered("chemical_formula_hill is answered with = and != and a quoted formula")
    return Compare(name, op, value)


def _canonical(formula: str) -> str:
    try:
        return parse_formula(formula).formula
    except InvalidFormula:
        return formula  # no candidate has it


def _ordered(name: str, op: str) -> str:
    if op not in ORDERED:
        raise Unanswered(f"{name} is a time; {', '.join(ORDERED)} are expected")
    return op


def _seconds(value: str) -> float:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as exc:
        raise Misread(f"{value!r} is not a time; one such as 2026-11-21T12:00:00Z is expected") from exc
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
