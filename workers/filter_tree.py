"""The tree of a filter: comparisons of properties, and how they hold together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf

Value = str | float


@dataclass(frozen=True, slots=True)
class Compare:
    """`property op value`, op one of < <= > >= = != CONTAINS STARTS ENDS."""

    property: str
    op: str
    value: Value


@dataclass(frozen=True, slots=True)
class ComparePair:
    """`property op other property`; two texts or two numbers."""

    property: str
    op: str
    other: str


@dataclass(frozen=True, slots=True)
class Chance:
    """`P(low op property op high) op value`: how probable it is that comparisons of one property hold together."""

    property: str
    within: tuple[tuple[str, float], ...]  # operators and bounds, the property on their left
    op: str
    value: float

    def column(self) -> str:
        """The name of the column that holds the probability."""
        return f"P({' AND '.join(f'{self.property} {op} {bound!r}' for op, bound in self.within)})"


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
    """Every part holds; without parts, always."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds; without parts, never."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold; a comparison with an unknown value does not hold, so its negation does."""

    part: "Filter"


Filter = Compare | ComparePair | Chance | Known | Has | And | Or | Not

ALWAYS = And(())
NEVER = Or(())


def is_foreign(name: str) -> bool:
    """Whether a property belongs to another database, so that its value is unknown here."""
    return name.startswith("_")


def properties_of(tree: Filter) -> frozenset[str]:
    """The names that a filter asks for."""
    match tree:
        case And(parts) | Or(parts):
            return frozenset().union(*(properties_of(part) for part in parts))
        case Not(part):
            return properties_of(part)
        case ComparePair(name, _, other):
            return frozenset({name, other})
        case Compare(name) | Chance(name) | Known(name) | Has(name):
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
        case ComparePair(name, op, other):
            return ComparePair(rename(name), op, rename(other))
        case Chance(name, within, op, value):
            return Chance(rename(name), within, op, value)
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
