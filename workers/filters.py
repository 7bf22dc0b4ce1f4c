"""OPTIMADE filters: their tree, and what they select among arrays of values."""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf

import numpy as np
from lark import Token, Tree
from lark.exceptions import LarkError
from optimade.exceptions import BadRequest
from optimade.filterparser import LarkParser

from workers.errors import InvalidFilter
from workers.symbols import SYMBOLS

PREFIX = "_sluice_"
ALIASES = {"chemical_formula_reduced": "formula"}

Value = str | float
Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Compare:
    """`property op value`, op one of < <= > >= = != CONTAINS STARTS ENDS."""

    property: str
    op: str
    value: Value


@dataclass(frozen=True, slots=True)
class Known:
    """`property IS KNOWN`, or IS UNKNOWN."""

    property: str
    known: bool


@dataclass(frozen=True, slots=True)
class Has:
    """`property HAS ALL|ANY|ONLY values`."""

    property: str
    mode: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class And:
    """Every part holds."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold; a comparison with an unknown value does not hold, so its negation does."""

    part: "Filter"


Filter = Compare | Known | Has | And | Or | Not


def parse_filter(text: str) -> Filter:
    """The tree of an OPTIMADE filter, names bare or with the prefix _sluice_; raises InvalidFilter."""
    try:
        tree = _parser().parse(text)
    except (BadRequest, LarkError) as exc:
        raise InvalidFilter(text, _why(exc, text)) from exc
    if not tree.children:
        raise InvalidFilter(text, "empty; a filter such as band_gap > 1 is expected")
    return _expression(_subtree(tree.children[0]), text)


def evaluate(tree: Filter, columns: Columns, elements: Sequence[frozenset[str]]) -> np.ndarray:
    """Which rows the filter selects, (n,) bool; columns hold (n,) values, NaN where unknown."""
    match tree:
        case And(parts):
            return np.asarray(np.logical_and.reduce([evaluate(part, columns, elements) for part in parts]))
        case Or(parts):
            return np.asarray(np.logical_or.reduce([evaluate(part, columns, elements) for part in parts]))
        case Not(part):
            return ~evaluate(part, columns, elements)
        case Has(_, mode, values):
            wanted = frozenset(values)
            return np.fromiter((_HAS[mode](row, wanted) for row in elements), bool, len(elements))
        case Known(name, known):
            return np.asarray(_is_known(_column(name, columns)) == known)
        case Compare(name, op, value):
            return _compared(_column(name, columns), op, value)


def properties_of(tree: Filter) -> frozenset[str]:
    """The names that a filter asks for."""
    match tree:
        case And(parts) | Or(parts):
            return frozenset().union(*(properties_of(part) for part in parts))
        case Not(part):
            return properties_of(part)
        case Compare(name) | Known(name) | Has(name):
            return frozenset({name})


def renamed(tree: Filter, rename: Callable[[str], str]) -> Filter:
    """The same filter on other properties."""
    match tree:
        case And(parts):
            return And(tuple(renamed(part, rename) for part in parts))
        case Or(parts):
            return Or(tuple(renamed(part, rename) for part in parts))
        case Not(part):
            return Not(renamed(part, rename))
        case Compare(name, op, value):
            return Compare(rename(name), op, value)
        case Known(name, known):
            return Known(rename(name), known)
        case Has(name, mode, values):
            return Has(rename(name), mode, values)


def contradiction(tree: Filter) -> str | None:
    """Why no value can ever satisfy the comparisons that must hold together, or None."""
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}
    for part in _conjuncts(tree):
        if isinstance(part, Compare) and isinstance(part.value, float):
            if part.op in (">", ">=", "="):
                lows[part.property] = max(lows.get(part.property, -inf), part.value)
            if part.op in ("<", "<=", "="):
                highs[part.property] = min(highs.get(part.property, inf), part.value)
    for name, low in lows.items():
        if low > highs.get(name, inf):
            return f"{name} cannot be at least {low:g} and at most {highs[name]:g}"
    return None


def _conjuncts(tree: Filter) -> Iterator[Filter]:
    if isinstance(tree, And):
        for part in tree.parts:
            yield from _conjuncts(part)
    else:
        yield tree


_HAS: dict[str, Callable[[frozenset[str], frozenset[str]], bool]] = {
    "ALL": lambda row, wanted: wanted <= row,
    "ANY": lambda row, wanted: not wanted.isdisjoint(row),
    "ONLY": lambda row, wanted: row <= wanted,
}
_OPERATORS: dict[str, Callable[[np.ndarray, Value], np.ndarray]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
    "CONTAINS": lambda column, value: np.strings.find(column, str(value)) >= 0,
    "STARTS": lambda column, value: np.strings.startswith(column, str(value)),
    "ENDS": lambda column, value: np.strings.endswith(column, str(value)),
}


def _column(name: str, columns: Columns) -> np.ndarray:
    if name not in columns:
        raise InvalidFilter(name, f"not known here; {', '.join(columns)} are")
    return columns[name]


def _is_known(column: np.ndarray) -> np.ndarray:
    return np.asarray(~np.isnan(column)) if column.dtype.kind == "f" else np.ones(len(column), bool)


def _compared(column: np.ndarray, op: str, value: Value) -> np.ndarray:
    if (column.dtype.kind == "U") != isinstance(value, str):
        raise InvalidFilter(f"{op} {value!r}", "text compares with text, numbers with numbers")
    return np.asarray(np.asarray(_OPERATORS[op](column, value), bool) & _is_known(column))


@cache
def _parser() -> LarkParser:
    return LarkParser()


def _why(exc: Exception, text: str) -> str:
    column = getattr(exc.__cause__ or exc, "column", None)
    place = f" at {text[column - 1 : column + 19]!r}" if isinstance(column, int) and column > 0 else ""
    return f'not an OPTIMADE filter{place}; one such as band_gap >= 1 AND elements HAS "Te" is expected'


def _subtree(node: object) -> Tree[Token]:
    assert isinstance(node, Tree)
    return node


def _expression(node: Tree[Token], text: str) -> Filter:
    parts = tuple(_clause(_subtree(child), text) for child in node.children)
    return parts[0] if len(parts) == 1 else Or(parts)


def _clause(node: Tree[Token], text: str) -> Filter:
    parts = tuple(_phrase(_subtree(child), text) for child in node.children)
    return parts[0] if len(parts) == 1 else And(parts)


def _phrase(node: Tree[Token], text: str) -> Filter:
    negated, inner = node.children if len(node.children) == 2 else (None, node.children[0])
    body = _subtree(inner)
    tree = _expression(body, text) if body.data == "expression" else _comparison(_subtree(body.children[0]), text)
    return tree if negated is None else Not(tree)


_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}


def _comparison(node: Tree[Token], text: str) -> Filter:
    if node.data == "constant_first_comparison":
        value, op, name = node.children
        return Compare(_name(_subtree(name).children[0], text), _MIRRORED[str(op)], _value(_subtree(value), text))
    prop, rest = node.children
    return _right_side(_name(prop, text), _subtree(rest), text)


def _right_side(name: str, rest: Tree[Token], text: str) -> Filter:
    tokens = [child for child in rest.children if child is not None]
    match rest.data:
        case "value_op_rhs" if name == "elements":
            raise InvalidFilter(text, 'elements is a list; HAS, as in elements HAS "Te", is expected')
        case "value_op_rhs":
            return Compare(name, str(tokens[0]), _value(_subtree(tokens[1]), text))
        case "known_op_rhs":
            return Known(name, str(tokens[1]) == "KNOWN")
        case "fuzzy_string_op_rhs":
            return Compare(name, str(tokens[0]), str(_value(_subtree(tokens[-1]), text)))
        case "set_op_rhs":
            return _has(name, tokens[1:], text)
        case "length_op_rhs" if name == "elements":
            op = str(tokens[1]) if len(tokens) == 3 else "="
            return Compare("nelements", op, float(str(_subtree(tokens[-1]).children[0])))
    raise InvalidFilter(text, f"{str(rest.data).removesuffix('_op_rhs').upper()} is not supported for {name}")


def _has(name: str, tokens: Sequence[object], text: str) -> Filter:
    if name != "elements":
        raise InvalidFilter(text, f"HAS is for elements, not for {name}")
    mode = str(tokens[0]) if isinstance(tokens[0], Token) else "ALL"
    last = _subtree(tokens[-1])
    values = last.children if last.data == "value_list" else [last]
    if mode not in _HAS or any(isinstance(value, Token) for value in values):
        raise InvalidFilter(text, "operators inside HAS are not supported; HAS, HAS ALL, HAS ANY and HAS ONLY are")
    asked = tuple(str(_value(_subtree(value), text)) for value in values if value is not None)
    if unknown := sorted(set(asked).difference(SYMBOLS)):
        raise InvalidFilter(text, f"{unknown[0]!r} is not an element of H to Lr")
    return Has(name, mode, asked)


def _name(node: object, text: str) -> str:
    tree = _subtree(node)
    if tree.data != "property" or len(tree.children) != 1:
        raise InvalidFilter(text, "a property name such as band_gap is expected on one side of the comparison")
    bare = str(tree.children[0]).removeprefix(PREFIX)
    return ALIASES.get(bare, bare)


def _value(node: Tree[Token], text: str) -> Value:
    inner = node if node.data in ("string", "number") else _subtree(node.children[0])
    raw = str(inner.children[0]) if inner.children else ""
    if inner.data == "number":
        return float(raw)
    if inner.data == "string":
        return raw[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    raise InvalidFilter(text, f'a number or a "quoted text" is expected, not {raw or inner.data}')
