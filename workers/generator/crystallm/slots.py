"""What may come next in a text that is written token by token."""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import ceil, floor

import numpy as np
import numpy.typing as npt

from workers.generator.crystallm.tokens import VOCABULARY, decode, encode, numbers

DECIMALS = 4
INTEGRAL = 3  # digits before the point

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Slot:
    """What may come next, and a closer look at one of these tokens before it is taken."""

    allowed: Mask
    check: Callable[[int], bool] | None = None


Writing = Generator[Slot, int, None]
Asking = Generator[Slot, int, str]


def mask(allowed: Iterable[int]) -> Mask:
    found = np.zeros(VOCABULARY, dtype=np.bool_)
    found[list(allowed)] = True
    return found


@cache
def _only(token: int) -> Slot:
    return Slot(mask([token]))


@lru_cache(maxsize=10_000)
def _encoded(text: str) -> tuple[int, ...]:
    return tuple(encode(text))


@cache
def _digits() -> tuple[int, ...]:
    return _encoded("0123456789")


def given(text: str) -> Writing:
    """A text that leaves nothing open."""
    for token in _encoded(text):
        yield _only(token)


def one_of(words: Sequence[str]) -> Asking:
    """One of some words, none of which another begins with."""
    left = [_encoded(word) for word in words]
    taken: tuple[int, ...] = ()
    while taken not in left:
        token = yield Slot(mask(word[len(taken)] for word in left))
        taken = (*taken, token)
        left = [word for word in left if word[: len(taken)] == taken]
    return decode(taken)


def number(low: float, high: float) -> Asking:
    """A number of 1 or more within these bounds, with its decimals."""
    unit, point = 10**DECIMALS, numbers()["."]
    bounds = ceil(low * unit), floor(high * unit)
    taken, text = 0, ""
    while not text.endswith("."):
        reach = [DECIMALS + more for more in range(INTEGRAL - len(text))]
        open_ = [digit for digit in range(0 if text else 1, 10) if _meets(10 * taken + digit, reach, bounds)]
        ends = [point] if text and _meets(taken, [DECIMALS], bounds) else []
        text += decode([(yield Slot(mask([*(_digits()[digit] for digit in open_), *ends])))])
        taken = int(text.rstrip("."))
    for left in reversed(range(DECIMALS)):
        open_ = [digit for digit in range(10) if _meets(10 * taken + digit, [left], bounds)]
        text += decode([(yield Slot(mask(_digits()[digit] for digit in open_)))])
        taken = 10 * taken + int(text[-1])
    return text


def _meets(begun: int, digits: Iterable[int], bounds: tuple[int, int]) -> bool:
    """Whether a number that begins so and goes on by one of these numbers of digits can lie within bounds."""
    low, high = bounds
    return any(begun * 10**more <= high and (begun + 1) * 10**more > low for more in digits)


def decimals(steps: Mask, check: Callable[[int], bool] | None) -> Generator[Slot, int, int]:
    """One of the allowed steps of a coordinate, (10 ** DECIMALS,), digit by digit; the check sees the whole step."""
    begun = 0
    for _ in range(DECIMALS - 1):
        token = yield Slot(_beginning(steps))
        digit = _digits().index(token)
        steps, begun = steps.reshape(10, -1)[digit], 10 * begun + digit
    final = begun
    last = yield Slot(_beginning(steps), check and (lambda token: check(10 * final + _digits().index(token))))
    return 10 * final + _digits().index(last)


def _beginning(steps: Mask) -> Mask:
    """The digits that steps begin with."""
    return mask(token for token, part in zip(_digits(), steps.reshape(10, -1), strict=True) if part.any())
