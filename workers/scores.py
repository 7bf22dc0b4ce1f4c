"""Score expressions: arithmetic on predicted properties, the higher the better."""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from sys import float_info

import numpy as np

from workers.errors import InvalidScore
from workers.properties import REGISTRY

MOST_LEVELS = 100  # Python's own stack holds a thousand, less what stands on it
LONGEST = 200  # characters of an expression that are told again
DEFAULT_SCORE = "-e_above_hull"
NAMES = frozenset(REGISTRY) | frozenset(f"{name}_std" for name in REGISTRY)
_ACCEPTED = "numbers, properties, their _std, + - * / **, abs, min, max, exp, log and sqrt are accepted"

_BINARY: dict[type[ast.operator], Callable[..., np.ndarray]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
_UNARY: dict[type[ast.unaryop], Callable[..., np.ndarray]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
_FUNCTIONS: dict[str, tuple[int, Callable[..., np.ndarray]]] = {
    "abs": (1, np.abs),
    "exp": (1, np.exp),
    "log": (1, np.log),
    "sqrt": (1, np.sqrt),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
}


@dataclass(frozen=True, slots=True)
class Score:
    """A checked expression."""

    text: str
    tree: ast.expr


def parse_score(text: str, names: frozenset[str] = NAMES) -> Score:
    """The expression that a text spells over the accepted names; raises InvalidScore."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        raise InvalidScore(text, f"not an expression; {_ACCEPTED}") from exc
    _check(tree, text, names)
    return Score(text, tree)


def names_of(score: Score) -> frozenset[str]:
    """The names that an expression uses."""
    nodes = (node.id for node in ast.walk(score.tree) if isinstance(node, ast.Name))
    return frozenset(name for name in nodes if name not in _FUNCTIONS)


def evaluate(score: Score, columns: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
    """The scores, (rows,) float64; minus infinity where the expression has no finite value."""
    with np.errstate(all="ignore"):
        values = np.broadcast_to(np.asarray(_value(score.tree, columns), dtype=np.float64), (rows,))
    return np.where(np.isfinite(values), values, -np.inf)


def _value(node: ast.expr, columns: Mapping[str, np.ndarray]) -> np.ndarray | np.float64:
    match node:
        case ast.Constant(int() | float() as value):
            return np.float64(value)
        case ast.Name(name):
            return columns[name]
        case ast.UnaryOp(op, operand):
            return _UNARY[type(op)](_value(operand, columns))
        case ast.BinOp(left, op, right):
            return _BINARY[type(op)](_value(left, columns), _value(right, columns))
        case ast.Call(ast.Name(name), arguments):
            return _FUNCTIONS[name][1](*(_value(argument, columns) for argument in arguments))
    raise AssertionError(f"unchecked node {ast.dump(node)}")


def _check(node: ast.expr, text: str, names: frozenset[str], level: int = 1) -> None:
    if level > MOST_LEVELS:
        raise InvalidScore(text[:LONGEST], f"operations in operations; at most {MOST_LEVELS} levels are accepted")
    for part in _parts(node, text, names):
        _check(part, text, names, level + 1)


def _parts(node: ast.expr, text: str, names: frozenset[str]) -> list[ast.expr]:
    """What is still to be checked inside a node that is accepted; raises InvalidScore."""
    match node:
        case ast.Constant(int() | float() as value) if not isinstance(value, bool) and value <= float_info.max:
            return []
        case ast.Name(name) if name in names:
            return []
        case ast.Name(name):
            raise InvalidScore(text, f"{name!r} is not a property; {', '.join(sorted(names))} are accepted")
        case ast.UnaryOp(op, operand) if type(op) in _UNARY:
            return [operand]
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            return [left, right]
        case ast.Call(ast.Name(name), arguments, []) if name in _FUNCTIONS and len(arguments) == _FUNCTIONS[name][0]:
            return arguments
    raise InvalidScore(text, f"{ast.unparse(node)!r} is not accepted; {_ACCEPTED}")
