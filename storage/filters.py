"""OPTIMADE filters as SQL conditions on candidates; a comparison with an unknown value does not hold."""

import operator
from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import ColumnElement, Double, and_, cast, exists, false, func, literal, not_, or_, select, true

from storage.candidates import BUILT_IN, STD, column
from storage.tables import CandidateTable, ElementTable, PropertyTable
from workers.errors import InvalidFilter
from workers.filters import And, Compare, Filter, Has, Known, Not, Or

Clause = ColumnElement[bool]
Comparison = Callable[[ColumnElement[Any], Any], Clause]

TEXTS = ("formula", "verdict")
NUMBERS = ("score", "nelements", "space_group", *(name for base in BUILT_IN for name in (base, base + STD)))

ORDERED: dict[str, Comparison] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}
# LIKE would not tell Co from CO on SQLite.
FUZZY: dict[str, Comparison] = {
    "CONTAINS": lambda text, value: func.replace(text, value, "") != text if value else text.is_not(None),
    "STARTS": lambda text, value: func.substr(text, 1, len(value)) == value,
    "ENDS": lambda text, value: func.substr(text, func.length(text) - len(value) + 1) == value,
}


def to_clause(tree: Filter, extra: Collection[str] = ()) -> Clause:
    """The condition that a filter sets, extra being the properties that users added; raises InvalidFilter."""
    match tree:
        case And(parts):
            return and_(true(), *(to_clause(part, extra) for part in parts))
        case Or(parts):
            return or_(false(), *(to_clause(part, extra) for part in parts))
        case Not(part):
            # Only under a negation does it matter that SQL answers NULL, neither true nor false.
            return not_(func.coalesce(to_clause(part, extra), false()))
        case Has("elements", mode, values):
            return _has(mode, [_text(value) for value in values])
        case Known("elements", known):
            return true() if known else false()
        case Known(name, known):
            holds = _holds(name, lambda value: value.is_not(None), extra)
            return holds if known else not_(holds)
        case Compare(name, op, value):
            return _compare(name, op, value, extra)
    raise InvalidFilter(tree.property, "HAS is for elements")


def accepted(extra: Collection[str] = ()) -> tuple[str, ...]:
    """The names that a filter may use, but for elements."""
    return (*TEXTS, *NUMBERS, *(key for name in sorted(extra) for key in (name, name + STD)))


def _compare(name: str, op: str, value: str | float, extra: Collection[str]) -> Clause:
    if (name in TEXTS) != isinstance(value, str):
        kind = "a quoted text" if name in TEXTS else "a number"
        _known_name(name, extra)
        raise InvalidFilter(f"{name} {op} {value!r}", f"{kind} is expected")
    if isinstance(value, str):
        compare = ORDERED.get(op) or FUZZY[op]
        return _holds(name, lambda text: compare(text, _text(value)), extra)
    return _holds(name, lambda number: ORDERED[op](_real(number), literal(value, Double)), extra)


def _holds(name: str, condition: Callable[[ColumnElement[Any]], Clause], extra: Collection[str]) -> Clause:
    """The condition on a candidate's column, or on its row among the properties that users added."""
    _known_name(name, extra)
    if name in TEXTS or name in NUMBERS:
        return condition(column(name))
    base = name if name in extra else name.removesuffix(STD)
    value: ColumnElement[Any] = PropertyTable.value.expression if name in extra else PropertyTable.std.expression
    return CandidateTable.id.in_(
        select(PropertyTable.candidate_id).where(PropertyTable.property == base, condition(value))
    )


def _real(number: ColumnElement[Any]) -> ColumnElement[Any]:
    """Whole numbers as real ones, or PostgreSQL would round 2.5 to compare it with them."""
    return number if isinstance(number.type, Double) else cast(number, Double)


def _known_name(name: str, extra: Collection[str]) -> None:
    if name not in accepted(extra):
        raise InvalidFilter(name, f"not a column; elements, {', '.join(accepted(extra))} are")


def _has(mode: str, values: list[str]) -> Clause:
    mine = exists().where(ElementTable.candidate_id == CandidateTable.id)
    match mode:
        case "ONLY":
            return ~mine.where(ElementTable.element.not_in(values))
        case "ANY":
            return CandidateTable.id.in_(select(ElementTable.candidate_id).where(ElementTable.element.in_(values)))
    holders = (select(ElementTable.candidate_id).where(ElementTable.element == value) for value in values)
    return and_(true(), *(CandidateTable.id.in_(holder) for holder in holders))


def _text(value: str) -> str:
    if "\0" in value or not value.isprintable():
        raise InvalidFilter(value, "printable text is expected")
    return value
