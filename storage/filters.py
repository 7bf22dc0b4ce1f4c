"""OPTIMADE filters as SQL conditions on candidates; a comparison with an unknown value does not hold."""

import operator
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, TypeGuard

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    Select,
    and_,
    cast,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)

from storage.candidates import BUILT_IN, STD, column
from storage.tables import TEXT, CampaignTable, CandidateTable, ElementTable, PropertyTable, StructureTable
from workers.errors import InvalidFilter, UnansweredFilter
from workers.filter_tree import is_foreign
from workers.filters import And, Compare, ComparePair, Filter, Has, Known, Not, Or
from workers.properties import column_names
from workers.symbols import SYMBOLS

Clause = ColumnElement[bool]
Expression = ColumnElement[Any]
Comparison = Callable[[Expression, Any], Clause]

FINDINGS = ("known_composition", "known_structure", "hull_references")  # what comparing with references says
TEXTS = ("formula", "chemical_formula_reduced", "chemical_formula_anonymous", "verdict", *FINDINGS)
NUMBERS = ("score", "nelements", "space_group", *(name for base in BUILT_IN for name in (base, base + STD)))
# Of the candidate's row under another name, of its best crystal, of its campaign.
ELSEWHERE = ("id", "campaign", "nsites", "last_modified")
INDEXED = frozenset({"formula", "chemical_formula_anonymous", "verdict", "score", "space_group", *column_names()})
LARGEST_ID = 2**63 - 1
LISTED = 12  # elements, which make 4,095 chemical systems

ORDERED: dict[str, Comparison] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}
# LIKE would not tell Co from CO on SQLite, and a beginning is a range, which an index serves.
FUZZY: dict[str, Comparison] = {
    "CONTAINS": lambda text, value: func.replace(text, value, "") != text if value else text.is_not(None),
    "STARTS": lambda text, value: and_(text >= value, text < _after(value)) if value else text.is_not(None),
    "ENDS": lambda text, value: func.substr(text, func.length(text) - len(value) + 1) == value,
}

Ids = Select[int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a database cannot tell by itself: which ids are too many to read them all, so that candidates are looked at
    one by one in the order of a column.
    """

    is_long: Callable[[Ids], bool] = lambda ids: False
    ordered_by: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """The properties that users added, and how the condition is going to be used."""

    extra: Collection[str]
    plan: Plan


def to_clause(tree: Filter, extra: Collection[str] = (), plan: Plan | None = None) -> Clause:
    """The condition that a filter sets, extra being the properties that users added; raises InvalidFilter."""
    return _clause(tree, Scope(extra, plan or Plan()))


def accepted(extra: Collection[str] = ()) -> tuple[str, ...]:
    """The names that a filter may use, but for lists."""
    return (*TEXTS, *ELSEWHERE, *NUMBERS, *(key for name in sorted(extra) for key in (name, name + STD)))


def _clause(tree: Filter, scope: Scope) -> Clause:
    match tree:
        case And(parts):
            return _all(parts, scope)
        case Or(parts):
            return or_(false(), *(_clause(part, scope) for part in parts))
        case Not(part):
            return _negated(part, scope)
        case Has("elements", mode, values):
            return _has(mode, [_text(value) for value in values], scope)
        case Known("elements", known):
            return true() if known else false()
        case Known(name, known):
            holds = _holds(name, lambda value: value.is_not(None), scope)
            return holds if known else not_(holds)
        case Compare():
            return _all([tree], scope) if _is_range(tree) else _compare(tree, scope)
        case ComparePair(name, op, other):
            return _compare_pair(name, op, other, scope.extra)
    why = "HAS is for elements" if isinstance(tree, Has) else "a probability is asked of predictions, not of rows"
    raise InvalidFilter(tree.property, why)


def _all(parts: Sequence[Filter], scope: Scope) -> Clause:
    """Every part, those on one column together: both ends of a range say how long it is."""
    ranges: dict[str, list[Clause]] = {}
    others: list[Clause] = []
    for part in parts:
        if _is_range(part):
            ranges.setdefault(part.property, []).append(_compare(part, scope))
        else:
            others.append(_clause(part, scope))
    return and_(true(), *others, *(_range(name, clauses, scope) for name, clauses in ranges.items()))


def _is_range(part: Filter) -> TypeGuard[Compare]:
    return isinstance(part, Compare) and part.property in INDEXED and part.op in ("<", "<=", ">", ">=", "=", "STARTS")


def _range(name: str, clauses: Sequence[Clause], scope: Scope) -> Clause:
    """The conditions on one column, without its index where that finds more than a page in another order looks at."""
    together = and_(true(), *clauses)
    if name == scope.plan.ordered_by or not scope.plan.is_long(select(CandidateTable.id).where(together)):
        return together
    return func.coalesce(together, false())


def _negated(tree: Filter, scope: Scope) -> Clause:
    """The negation, carried inwards: the parser of SQLite takes no deep ones, and an index serves none."""
    match tree:
        case And(parts):
            return or_(false(), *(_negated(part, scope) for part in parts))
        case Or(parts):
            return and_(true(), *(_negated(part, scope) for part in parts))
        case Not(part):
            return _clause(part, scope)
        case Known(name, known):
            return _clause(Known(name, not known), scope)
        case Has("elements", "ALL", values):
            return or_(false(), *(_negated(Has("elements", "ANY", (value,)), scope) for value in values))
    # Who is not in a list is found by looking each up: PostgreSQL would keep the list in memory, or compare each pair.
    looked_up = _clause(tree, replace(scope, plan=Plan(lambda ids: True)))
    # Only here does it matter that SQL answers NULL, neither true nor false.
    return not_(looked_up if isinstance(tree, Has) else func.coalesce(looked_up, false()))


def _compare(test: Compare, scope: Scope) -> Clause:
    name, op, value = test.property, test.op, test.value
    if is_foreign(name):
        return false()
    if _is_text(name, scope.extra) != isinstance(value, str):
        kind = "a quoted text" if name in (*TEXTS, "id") else "a number"
        raise UnansweredFilter(f"{name} {op} {value!r}", f"{kind} is expected")
    if name == "id" and op in ("=", "!="):
        return _same_id(op, str(value))
    if isinstance(value, str):
        compare = ORDERED.get(op) or FUZZY[op]
        return _holds(name, lambda text: compare(text, _text(value)), scope)
    return _holds(name, lambda number: _numbers(op, number, value), scope)


def _compare_pair(name: str, op: str, other: str, extra: Collection[str]) -> Clause:
    if is_foreign(name) or is_foreign(other):
        return false()
    if _is_text(name, extra) != _is_text(other, extra):
        raise UnansweredFilter(f"{name} {op} {other}", "two texts or two numbers are expected")
    left, right = (_scalar(each, extra) for each in (name, other))
    return ORDERED[op](left, right) if _is_text(name, extra) else ORDERED[op](_real(left), _real(right))


def _numbers(op: str, number: Expression, value: float) -> Clause:
    """As whole numbers where both are, which an index serves."""
    if not isinstance(number.type, Double) and value.is_integer() and abs(value) <= LARGEST_ID:
        return ORDERED[op](number, literal(int(value), BigInteger))
    return ORDERED[op](_real(number), literal(value, Double))


def _same_id(op: str, value: str) -> Clause:
    """By the key itself, which is quick; a text that spells no id is no candidate's."""
    digits = value.isascii() and value.isdecimal() and len(value) <= len(str(LARGEST_ID))
    if digits and str(int(value)) == value and int(value) <= LARGEST_ID:
        return ORDERED[op](column("id"), int(value))
    return true() if op == "!=" else false()


def _holds(name: str, condition: Callable[[Expression], Clause], scope: Scope) -> Clause:
    """The condition on a candidate's column, or on a row elsewhere that belongs to it."""
    if is_foreign(name):
        return false()
    if name == "nsites":
        best = select(StructureTable.candidate_id).where(StructureTable.rank == 0, condition(_plain(name)))
        return _among(best, scope)
    if name == "last_modified":
        return CandidateTable.campaign_id.in_(select(CampaignTable.id).where(condition(_plain(name))))
    if (base := _added(name, scope.extra)) is not None:
        mine = (PropertyTable.property == base, condition(_stored(name, scope.extra)))
        return _among(select(PropertyTable.candidate_id).where(*mine), scope)
    return condition(_plain(name))


def _among(ids: Ids, scope: Scope) -> Clause:
    """Whether the candidate is one of these."""
    if scope.plan.is_long(ids):
        return ids.where(ids.selected_columns[0] == CandidateTable.id).exists()
    return CandidateTable.id.in_(ids)


def _scalar(name: str, extra: Collection[str]) -> Expression:
    """The value itself, NULL where a candidate has none."""
    if name == "nsites":
        best = (StructureTable.candidate_id == CandidateTable.id, StructureTable.rank == 0)
        return select(_plain(name)).where(*best).scalar_subquery()
    if name == "last_modified":
        return select(_plain(name)).where(CampaignTable.id == CandidateTable.campaign_id).scalar_subquery()
    if (base := _added(name, extra)) is not None:
        mine = (PropertyTable.candidate_id == CandidateTable.id, PropertyTable.property == base)
        return select(_stored(name, extra)).where(*mine).scalar_subquery()
    return _plain(name)


def _plain(name: str) -> Expression:
    """The column that holds a built-in value."""
    match name:
        case "id":
            return cast(CandidateTable.id, TEXT)
        case "campaign":
            return column("campaign_id")
        case "nsites":
            return StructureTable.nsites.expression
        case "last_modified":
            return CampaignTable.finished_at.expression
    return column(name)


def _added(name: str, extra: Collection[str]) -> str | None:
    """The property, added by a user, whose value or standard deviation this is."""
    if name in (*TEXTS, *NUMBERS, *ELSEWHERE):
        return None
    base = name if name in extra else name.removesuffix(STD)
    if base not in extra:
        raise InvalidFilter(name, f"not a column; elements, {', '.join(accepted(extra))} are")
    return base


def _stored(name: str, extra: Collection[str]) -> Expression:
    return PropertyTable.value.expression if name in extra else PropertyTable.std.expression


def _is_text(name: str, extra: Collection[str]) -> bool:
    _added(name, extra)
    return name in TEXTS or name == "id"


def _real(number: Expression) -> Expression:
    """Whole numbers as real ones, or PostgreSQL would round 2.5 to compare it with them."""
    return number if isinstance(number.type, Double) else cast(number, Double)


def _has(mode: str, values: list[str], scope: Scope) -> Clause:
    holders = select(ElementTable.candidate_id)
    match mode:
        case "ONLY":
            return _has_only(sorted({value for value in values if value.isalpha()}), scope)
        case "ANY":
            return _among(holders.where(ElementTable.element.in_(values)), scope)
    return and_(true(), *(_among(holders.where(ElementTable.element == value), scope) for value in values))


def _has_only(symbols: list[str], scope: Scope) -> Clause:
    """Whether the candidate's chemical system is one of those that these elements make."""
    name = "chemical_system"
    if len(symbols) <= LISTED:
        systems = ["-".join(some) for size in range(len(symbols)) for some in combinations(symbols, size + 1)]
        return _range(name, [column(name).in_(systems)], scope)
    # Too many to list: none of the other elements is in it.
    system = literal("-", TEXT) + column(name) + "-"
    others = (f"-{symbol}-" for symbol in SYMBOLS if symbol not in symbols)
    without = (func.replace(system, other, "") == system for other in others)
    # As one value: PostgreSQL takes a hundred conditions together for so rare that it would read and sort all rows.
    return and_(column("nelements") <= len(symbols), func.coalesce(and_(true(), *without), false()))


def _after(text: str) -> str:
    """The first text that no longer begins with this one."""
    return text[:-1] + chr(ord(text[-1]) + 1)


def _text(value: str) -> str:
    if "\0" in value or not value.isprintable():
        raise InvalidFilter(value, "printable text is expected")
    return value
