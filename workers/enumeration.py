"""Charge-balanced compositions, addressed by index so that those not asked for cost nothing."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain, combinations, product
from math import comb, isqrt

import numpy as np

from workers.compositions import SUPPORTED, Composition, from_amounts
from workers.errors import InvalidEnumeration
from workers.oxidation import oxidation_states

Signature = tuple[tuple[int, ...], ...]
MOST_SYSTEMS = 5_000_000  # all of them are kept in memory
MOST_AMOUNTS = 8**8  # of one system, tried at once


@dataclass(frozen=True)
class Enumeration:
    """Cations and anions in every charge-balanced stoichiometry, each composition exactly once, in a fixed order.

    `cation_counts` and `anion_counts` say how many different cations and anions a composition has; an element
    takes one of its common oxidation states; amounts are whole numbers without a common divisor.
    """

    cations: tuple[str, ...]
    anions: tuple[str, ...]
    cation_counts: tuple[int, ...] = (2, 3)
    anion_counts: tuple[int, ...] = (1,)
    max_amount: int = 8
    max_atoms: int = 20

    def __post_init__(self) -> None:
        _check_elements("cations", self.cations, sign=1)
        _check_elements("anions", self.anions, sign=-1)
        if both := set(self.cations) & set(self.anions):
            raise InvalidEnumeration(f"{', '.join(sorted(both))} among both cations and anions; one is expected")
        for name in ("cation_counts", "anion_counts"):
            _check_counts(name, getattr(self, name))
        if self.max_amount < 1 or self.max_atoms < 2:
            raise InvalidEnumeration("max_amount of at least 1 and max_atoms of at least 2 are expected")
        self._check_size()

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def slice(self, start: int, stop: int) -> list[Composition]:
        """The compositions with indices from start up to, not including, stop."""
        return [self._at(index) for index in range(max(start, 0), min(stop, len(self)))]

    def _check_size(self) -> None:
        """Raise InvalidEnumeration for more than memory holds."""
        cations, anions = len(set(self.cations)), len(set(self.anions))
        counts = set(product(self.cation_counts, self.anion_counts))
        systems = sum(comb(cations, some) * comb(anions, others) for some, others in counts)
        if systems > MOST_SYSTEMS:
            what = f"{systems:,} sets of elements; at most {MOST_SYSTEMS:,} are accepted"
            raise InvalidEnumeration(f"{what}, so fewer cations, anions or counts are expected")
        elements = min(cations, max(self.cation_counts)) + min(anions, max(self.anion_counts))
        most = max(amount for amount in range(1, isqrt(MOST_AMOUNTS) + 1) if amount**elements <= MOST_AMOUNTS)
        if self.max_amount > most:
            what = f"max_amount = {self.max_amount} of up to {elements} elements"
            raise InvalidEnumeration(f"{what}; at most {most} is expected")

    @cached_property
    def _blocks(self) -> tuple["Block", ...]:
        """Sets of elements by how many cations and anions they have, in the order of the enumeration."""
        counts = product(sorted(set(self.cation_counts)), sorted(set(self.anion_counts)))
        return tuple(Block(_chosen(self.cations, some, 1), _chosen(self.anions, others, -1)) for some, others in counts)

    @cached_property
    def _ends(self) -> np.ndarray:
        """How many compositions there are up to the end of each set of elements, (sets,)."""
        sizes = [block.sizes(self.max_amount, self.max_atoms) for block in self._blocks]
        return np.cumsum(np.concatenate([np.zeros(0, dtype=np.int64), *sizes]), dtype=np.int64)

    def _at(self, index: int) -> Composition:
        place = int(np.searchsorted(self._ends, index, side="right"))
        symbols = self._symbols(place)
        states = tuple(state for symbol, state in symbols)
        table = _balanced(states, self.max_amount, self.max_atoms)
        row = table[index - (int(self._ends[place]) - len(table))]
        return from_amounts({symbol: int(n) for (symbol, _), n in zip(symbols, row, strict=True)})

    def _symbols(self, place: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The elements of a set, each with its oxidation states."""
        for block in self._blocks:
            if place < len(block):
                return block.symbols(place)
            place -= len(block)
        raise IndexError(f"{place=} beyond the last set of elements")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Every choice of so many of these symbols: their places, (choices, size), and the states of each symbol."""

    symbols: tuple[str, ...]
    states: Signature
    places: np.ndarray

    def signatures(self) -> tuple[list[Signature], np.ndarray]:
        """The different states that choices have, in whatever order, and which of them each choice has, (choices,)."""
        kinds = sorted(set(self.states))
        of_symbol = np.array([kinds.index(states) for states in self.states], dtype=np.int64)
        found = np.sort(of_symbol[self.places], axis=1)
        keys = found @ len(kinds) ** np.arange(found.shape[1], dtype=np.int64)
        _, firsts, of_choice = np.unique(keys, return_index=True, return_inverse=True)
        return [tuple(kinds[kind] for kind in found[first]) for first in firsts], of_choice

    def __getitem__(self, choice: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
        return tuple((self.symbols[place], self.states[place]) for place in self.places[choice])


@dataclass(frozen=True, slots=True)
class Block:
    """Every choice of cations with every choice of anions."""

    cations: Chosen
    anions: Chosen

    def __len__(self) -> int:
        return len(self.cations.places) * len(self.anions.places)

    def sizes(self, max_amount: int, max_atoms: int) -> np.ndarray:
        """How many compositions each set of elements has, (sets,): as many as any other with the same states."""
        cations, of_cation = self.cations.signatures()
        anions, of_anion = self.anions.signatures()
        sizes = [[len(_balanced(some + others, max_amount, max_atoms)) for others in anions] for some in cations]
        table = np.array(sizes, dtype=np.int64).reshape(len(cations), len(anions))
        every: np.ndarray = table[np.ix_(of_cation, of_anion)]
        return every.reshape(-1)

    def symbols(self, place: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The elements of a set, each with its oxidation states."""
        cation, anion = divmod(place, len(self.anions.places))
        return self.cations[cation] + self.anions[anion]


def _chosen(symbols: tuple[str, ...], size: int, sign: int) -> Chosen:
    ordered = tuple(sorted(set(symbols)))
    flat = chain.from_iterable(combinations(range(len(ordered)), size))
    places = np.fromiter(flat, dtype=np.int16).reshape(-1, size)
    return Chosen(ordered, tuple(_states(symbol, sign) for symbol in ordered), places)


def _states(symbol: str, sign: int) -> tuple[int, ...]:
    return tuple(state for state in oxidation_states().get(symbol, ()) if state * sign > 0)


@lru_cache(maxsize=16384)
def _balanced(states: Signature, max_amount: int, max_atoms: int) -> np.ndarray:
    """Amounts, (n, elements), for which some choice of oxidation states adds up to no charge."""
    columns = _amount_columns(len(states), max_amount, max_atoms)
    neutral = np.zeros(columns.shape[1], dtype=bool)
    for choice in product(*states):
        neutral |= sum(column * np.int16(state) for column, state in zip(columns, choice, strict=True)) == 0
    return columns[:, neutral].T


@lru_cache(maxsize=8)
def _amount_columns(elements: int, max_amount: int, max_atoms: int) -> np.ndarray:
    """All amounts without a common divisor, (elements, n)."""
    columns = np.indices((max_amount,) * elements, dtype=np.int16).reshape(elements, -1) + np.int16(1)
    small = columns[:, columns.sum(0) <= max_atoms]
    return np.ascontiguousarray(small[:, np.gcd.reduce(small, axis=0) == 1])


def _check_elements(name: str, symbols: tuple[str, ...], sign: int) -> None:
    if not symbols:
        raise InvalidEnumeration(f"{name} is empty; element symbols are expected")
    for symbol in symbols:
        if symbol not in SUPPORTED:
            raise InvalidEnumeration(f"{symbol!r} in {name} is not an element of H to Lr")
        if not _states(symbol, sign):
            kind = "positive" if sign > 0 else "negative"
            raise InvalidEnumeration(f"{symbol} in {name} has no common {kind} oxidation state")


def _check_counts(name: str, counts: tuple[int, ...]) -> None:
    if not counts or min(counts) < 1 or max(counts) > 4:
        raise InvalidEnumeration(f"{name} = {list(counts)}; numbers from 1 to 4 are expected")
