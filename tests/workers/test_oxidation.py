"""Oxidation states: those that make a compound neutral and are reported most."""

from itertools import product

import pytest

from workers.oxidation import likely_states, oxidation_states
from workers.symbols import SYMBOLS


@pytest.mark.parametrize(
    ("amounts", "states"),
    [
        ({"Na": 1, "Cl": 1}, (1, -1)),
        ({"Fe": 2, "O": 3}, (3, -2)),
        ({"Fe": 1, "O": 1}, (2, -2)),
        ({"Li": 1, "Fe": 1, "P": 1, "O": 4}, (1, 2, 5, -2)),
        ({"Fe": 1, "P": 1, "O": 4}, (3, 5, -2)),
        ({"Sr": 1, "Ti": 1, "O": 3}, (2, 4, -2)),
        ({"Cs": 1, "Pb": 1, "I": 3}, (1, 2, -1)),
        ({"Cu": 2, "Zn": 1, "Sn": 1, "S": 4}, (1, 2, 4, -2)),
        ({"Ga": 1, "As": 1}, (3, -3)),
    ],
)
def test_likely_states_are_those_of_the_textbook(amounts: dict[str, int], states: tuple[int, ...]) -> None:
    assert likely_states(tuple(amounts), tuple(amounts.values())) == states


@pytest.mark.parametrize(
    "amounts", [{"Cu": 1, "Au": 1}, {"Na": 1, "Cl": 2}, {"Si": 1}, {"Ni": 3, "Al": 1}, {"Fe": 3, "O": 4}]
)
def test_what_cannot_be_neutral_with_one_state_for_each_element_has_none(amounts: dict[str, int]) -> None:
    assert likely_states(tuple(amounts), tuple(amounts.values())) is None


@pytest.mark.parametrize("symbol", ["He", "Ar", "Xx"])
def test_an_element_without_known_states_has_none(symbol: str) -> None:
    assert likely_states((symbol, "O"), (1, 1)) is None


def test_states_follow_their_elements_whatever_the_order() -> None:
    amounts = {"Fe": 1, "Mn": 1, "Ti": 1, "O": 5}
    found = {}
    for symbols in (("Fe", "Mn", "Ti", "O"), ("O", "Ti", "Mn", "Fe"), ("Mn", "O", "Fe", "Ti")):
        likely_states.cache_clear()
        states = likely_states(symbols, tuple(amounts[symbol] for symbol in symbols))
        assert states is not None
        found[symbols] = dict(zip(symbols, states, strict=True))
    assert len({tuple(sorted(states.items())) for states in found.values()}) == 1


def test_chosen_states_are_known_and_neutral() -> None:
    table = oxidation_states()
    metals, others = ("Na", "Mg", "Al", "Fe", "Mn", "U"), ("O", "S", "Cl", "N")
    for (metal, other), n, m in product(product(metals, others), range(1, 4), range(1, 4)):
        states = likely_states((metal, other), (n, m))
        choices = [pair for pair in product(table[metal], table[other]) if n * pair[0] + m * pair[1] == 0]
        assert (states is not None) == bool(choices)
        assert states is None or states in choices


def test_many_elements_with_many_states_are_settled_quickly() -> None:
    symbols = ("Re", "Os", "Ru", "Mn", "Cr", "V", "Se", "O")
    states = likely_states(symbols, (1, 1, 1, 1, 1, 1, 1, 12))
    assert states is None or sum(state * n for state, n in zip(states, (1,) * 7 + (12,), strict=True)) == 0


def test_the_table_knows_real_elements_and_no_state_twice() -> None:
    table = oxidation_states()
    assert set(table) <= set(SYMBOLS)
    assert all(len(set(states)) == len(states) and 0 not in states for states in table.values())
    assert table["O"] == (-2,) and table["Na"] == (1,)
