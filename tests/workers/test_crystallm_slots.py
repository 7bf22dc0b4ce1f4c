"""What is asked for, token by token: words, numbers within bounds, coordinates."""

from collections.abc import Generator
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from workers.generator.crystallm.slots import Slot, decimals, given, number, one_of
from workers.generator.crystallm.tokens import decode, encode

Answer = TypeVar("Answer")


def answered(asking: Generator[Slot, int, Answer], choose: np.random.Generator) -> tuple[Answer, str]:
    """What a walk through the slots comes to, and the text that was written."""
    written: list[int] = []
    slot = next(asking)
    while True:
        fitting = [t for t in np.flatnonzero(slot.allowed) if slot.check is None or slot.check(int(t))]
        written.append(int(choose.choice(fitting)))
        try:
            slot = asking.send(written[-1])
        except StopIteration as end:
            return end.value, decode(written)


@over(st.floats(1.0, 999.0), st.floats(1e-3, 200.0), st.integers(0, 99))
def test_a_number_keeps_to_its_bounds(low: float, width: float, seed: int) -> None:
    high = min(low + width, 999.9)
    found, text = answered(number(low, high), np.random.default_rng(seed))
    assert found == text and len(text.split(".")[1]) == 4
    assert low <= float(text) <= high


@pytest.mark.parametrize("wanted", ["1.0000", "9.9999", "10.0000", "57.1234", "199.9999"])
def test_every_number_within_the_bounds_can_be_written(wanted: str) -> None:
    asking = number(1.0, 200.0)
    slot = next(asking)
    for token in encode(wanted):
        assert slot.allowed[token]
        try:
            slot = asking.send(token)
        except StopIteration as end:
            assert end.value == wanted


@over(st.integers(0, 99))
def test_one_of_some_words_is_written(seed: int) -> None:
    words = ["1 ", "2 ", "12 ", "192 "]
    found, text = answered(one_of(words), np.random.default_rng(seed))
    assert found == text and text in words


@over(st.sets(st.integers(0, 9999), min_size=1, max_size=5), st.integers(0, 99))
def test_a_coordinate_is_one_of_the_allowed_steps(steps: set[int], seed: int) -> None:
    mask = np.zeros(10_000, dtype=np.bool_)
    mask[list(steps)] = True
    found, text = answered(decimals(mask, None), np.random.default_rng(seed))
    assert found in steps and text == f"{found:04d}"


def test_the_last_digit_of_a_coordinate_is_looked_at_as_a_whole_step() -> None:
    found, _ = answered(
        decimals(np.ones(10_000, dtype=np.bool_), lambda step: step % 10 == 3), np.random.default_rng(0)
    )
    assert found % 10 == 3


def test_a_given_text_leaves_nothing_open() -> None:
    slots = list(given("\n_cell_length_a "))
    assert [int(slot.allowed.sum()) for slot in slots] == [1, 1, 1]
