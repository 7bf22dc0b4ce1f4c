"""OPTIMADE filters: their tree, and what they select among arrays of values."""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from lark import Token, Tree

from workers import filter_fields, spellings
from workers.errors import InvalidFilter, UnansweredFilter
from workers.filter_fields import MIRRORED, PREFIX, Misread, Unanswered, our_name
from workers.filter_grammar import read, subtree, unquoted
from workers.filter_tree import (
    ALWAYS,
    NEVER,
    And,
    Chance,
    Compare,
    ComparePair,
    Filter,
    Has,
    Known,
    Not,
    Or,
    Value,
    contradiction,
    is_foreign,
    properties_of,
    renamed,
)

__all__ = [
    "PREFIX", "And", "Chance", "Compare", "ComparePair", "Filter", "Has", "Known", "Not", "Or",
    "contradiction", "evaluate", "parse_filter", "properties_of", "renamed",
]  # fmt: skip

Columns = Mapping[str, np.ndarray]

_SPELLED = ("chemical_formula_reduced", "chemical_formula_anonymous")


def parse_filter(text: str) -> Filter:
    """The tree of an OPTIMADE filter, names bare or with the prefix _sluice_; raises InvalidFilter."""
    try:
        return _expression(read(text), text)
    except Misread as exc:
        raise InvalidFilter(text, str(exc)) from exc
    except Unanswered as exc:
        raise UnansweredFilter(text, str(exc)) from exc


def evaluate(tree: Filter, columns: Columns, elements: Sequence[frozenset[str]]) -> np.ndarray:
    """Which rows the filter selects, (n,) bool; columns hold (n,) values, NaN or empty text where unknown."""
    match tree:
        case And(parts):
            every = (evaluate(part, columns, elements) for part in parts)
            return np.asarray(np.logical_and.reduce([np.ones(len(elements), bool), *every]))
        case Or(parts):
            any_of = (evaluate(part, columns, elements) for part in parts)
            return np.asarray(np.logical_or.reduce([np.zeros(len(elements), bool), *any_of]))
        case Not(part):
            return ~evaluate(part, columns, elements)
        case Has(_, mode, values):
            wanted = frozenset(values)
            return np.fromiter((_HAS[mode](row, wanted) for row in elements), bool, len(elements))
        case Known(name, known):
            return np.asarray(_is_known(_column(name, columns, len(elements))) == known)
        case Compare(name) if is_foreign(name):
            return np.zeros(len(elements), bool)
        case ComparePair(name, _, other) if is_foreign(name) or is_foreign(other):
            return np.zeros(len(elements), bool)
        case Compare(name, op, value):
            return _compared(_column(name, columns, len(elements)), op, value)
        case Chance(_, _, op, value):
            return _compared(_column(tree.column(), columns, len(elements)), op, value)
        case ComparePair(name, op, other):
            left, right = (_column(each, columns, len(elements)) for each in (name, other))
            return _compared_pair(left, right, op)


_HAS: dict[str, Callable[[frozenset[str], frozenset[str]], bool]] = {
    "ALL": lambda row, wanted: wanted <= row,
    "ANY": lambda row, wanted: not wanted.isdisjoint(row),
    "ONLY": lambda row, wanted: row <= wanted,
}
_OPERATORS: dict[str, Callable[[np.ndarray, np.ndarray | Value], np.ndarray]] = {
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


def _column(name: str, columns: Columns, count: int) -> np.ndarray:
    if name in columns:
        return columns[name]
    if is_foreign(name):
        return np.full(count, np.nan)
    if name in _SPELLED and "formula" in columns:
        place = _SPELLED.index(name)
        return np.array([spellings.spellings(str(formula))[place] or "" for formula in columns["formula"]], str)
    raise InvalidFilter(name, f"not known here; {', '.join(columns)} are")


def _is_known(column: np.ndarray) -> np.ndarray:
    return np.asarray(~np.isnan(column) if column.dtype.kind == "f" else column != "")


def _compared(column: np.ndarray, op: str, value: Value) -> np.ndarray:
    if (column.dtype.kind == "U") != isinstance(value, str):
        raise UnansweredFilter(f"{op} {value!r}", "text compares with text, numbers with numbers")
    return np.asarray(np.asarray(_OPERATORS[op](column, value), bool) & _is_known(column))


def _compared_pair(column: np.ndarray, other: np.ndarray, op: str) -> np.ndarray:
    if (column.dtype.kind == "U") != (other.dtype.kind == "U"):
        raise UnansweredFilter(op, "text compares with text, numbers with numbers")
    return np.asarray(np.asarray(_OPERATORS[op](column, other), bool) & _is_known(column) & _is_known(other))


def _expression(node: Tree[Token], text: str) -> Filter:
    parts = tuple(_clause(subtree(child), text) for child in node.children)
    return parts[0] if len(parts) == 1 else Or(parts)


def _clause(node: Tree[Token], text: str) -> Filter:
    parts = tuple(_phrase(subtree(child), text) for child in node.children)
    return parts[0] if len(parts) == 1 else And(parts)


def _phrase(node: Tree[Token], text: str) -> Filter:
    negated, inner = node.children if len(node.children) == 2 else (None, node.children[0])
    body = subtree(inner)
    tree = _expression(body, text) if body.data == "expression" else _comparison(subtree(body.children[0]), text)
    return tree if negated is None else Not(tree)


def _comparison(node: Tree[Token], text: str) -> Filter:
    if node.data == "constant_first_comparison":
        return _constant_first(node, text)
    prop, rest = node.children
    return _right_side(_name(prop), subtree(rest), text)


def _constant_first(node: Tree[Token], text: str) -> Filter:
    constant, op, other = node.children
    value, right = _value(subtree(constant), text), subtree(other)
    inner = subtree(right.children[0])
    if inner.data == "property":
        return filter_fields.compared(_name(inner), MIRRORED[str(op)], value)
    mine = _value(right, text)
    if isinstance(value, str) or isinstance(mine, str):
        raise Unanswered("a property is expected on one side of the comparison")
    return ALWAYS if filter_fields.ORDERED[str(op)](value, mine) else NEVER


def _right_side(name: str, rest: Tree[Token], text: str) -> Filter:
    tokens = rest.children
    match rest.data:
        case "value_op_rhs" | "fuzzy_string_op_rhs":
            return _compare(name, str(tokens[0]), subtree(tokens[-1]), text)
        case "known_op_rhs":
            return filter_fields.known(name, str(tokens[1]) == "KNOWN")
        case "length_op_rhs":
            op = str(tokens[1]) if len(tokens) == 3 else "="
            return filter_fields.length(name, op, float(str(subtree(tokens[-1]).children[0])))
        case "set_op_rhs":
            return _has(name, tokens[1:], text)
    raise Unanswered(f"{name}: lists are not compared place by place; HAS ALL, HAS ANY and HAS ONLY of one list are")


def _compare(name: str, op: str, right: Tree[Token], text: str) -> Filter:
    inner = subtree(right.children[0])
    if inner.data == "property" and op in MIRRORED:
        return filter_fields.compared_pair(name, op, _name(inner))
    if inner.data == "bool" and is_foreign(name):
        return filter_fields.known(name, True)
    value = _value(right, text)
    if op not in MIRRORED and not isinstance(value, str):
        raise Unanswered(f"{op} {value:g}: a quoted text is expected")
    return filter_fields.compared(name, op, value)


def _has(name: str, tokens: Sequence[object], text: str) -> Filter:
    mode = str(tokens[0]) if isinstance(tokens[0], Token) and str(tokens[0]) in _HAS else "ALL"
    last = subtree(tokens[-1])
    asked = last.children if last.data == "value_list" else tokens
    return filter_fields.has(name, mode, list(_members(asked, text)))


def _members(nodes: Sequence[object], text: str) -> Iterator[tuple[str, Value]]:
    op = "="
    for node in nodes:
        if isinstance(node, Token):
            op = str(node)
        else:
            yield op, _value(subtree(node), text)
            op = "="


def _name(node: object) -> str:
    parts = [str(child) for child in subtree(node).children]
    if len(parts) > 1 and not is_foreign(parts[0].removeprefix(PREFIX)):
        raise Unanswered(f"{'.'.join(parts)!r}: no property has parts")
    return our_name(parts[0])


def _value(node: Tree[Token], text: str) -> Value:
    inner = node if node.data in ("string", "number") else subtree(node.children[0])
    match inner.data:
        case "number":
            return float(str(inner.children[0]))
        case "string":
            return unquoted(str(inner.children[0]), text)
    what = "a property name" if inner.data == "property" else "TRUE or FALSE"
    raise Unanswered(f'a number or a "quoted text" is expected, not {what}')
