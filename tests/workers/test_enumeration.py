from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.enumeration import Enumeration
from workers.errors import InvalidEnumeration
from workers.oxidation import oxidation_states

SMALL = Enumeration(("Cs", "Pb", "Sn", "Cu"), ("I", "S"), (1, 2), (1,), max_amount=6, max_atoms=9)
METALS = tuple(symbol for symbol, states in oxidation_states().items() if min(states) > 0)
WHOLE = SMALL.slice(0, len(SMALL))


def balanced(elements: tuple[str, ...], amounts: tuple[float, ...]) -> bool:
    choices = product(*(oxidation_states()[symbol] for symbol in elements))
    return any(sum(q * n for q, n in zip(states, amounts, strict=True)) == 0 for states in choices)


def test_every_composition_is_neutral_small_and_there_once() -> None:
    assert len({c.formula for c in WHOLE}) == len(WHOLE) == len(SMALL)
    for composition in WHOLE:
        assert balanced(composition.elements, composition.amounts)
        assert composition.atoms <= 9 and max(composition.amounts) <= 6 and composition.integral


def test_it_finds_the_compounds_that_everybody_knows() -> None:
    formulas = {c.formula for c in WHOLE}
    assert {"CsPbI3", "CsSnI3", "PbS", "PbI2", "SnS2", "Cs2SnI6", "CuI", "Cu2S", "Cs2PbI4"} <= formulas
    assert not {"CsPb", "CsI2", "PbI3"} & formulas


@settings(deadline=None)
@given(st.integers(0, len(SMALL)), st.integers(0, len(SMALL)))
def test_any_slice_equals_that_part_of_the_whole(start: int, stop: int) -> None:
    assert SMALL.slice(start, stop) == WHOLE[start:stop]


def test_millions_of_compositions_can_be_addressed() -> None:
    big = Enumeration(METALS[:40], ("O", "S", "Se", "Te"), (3,), (1,), max_amount=12, max_atoms=40)
    assert len(big) > 1_000_000
    middle = big.slice(len(big) // 2, len(big) // 2 + 3)
    assert len(middle) == 3 and all(balanced(c.elements, c.amounts) for c in middle)


def test_order_of_the_elements_given_does_not_matter() -> None:
    turned = Enumeration(("Cu", "Sn", "Cs", "Pb"), ("S", "I"), (2, 1), (1,), max_amount=6, max_atoms=9)
    assert turned.slice(0, 50) == SMALL.slice(0, 50)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"cations": ()}, "cations"),
        ({"cations": ("Qq",)}, "Qq"),
        ({"cations": ("I",), "anions": ("I",)}, "I"),
        ({"anions": ("Cs",)}, "Cs"),
        ({"cations": ("Cl",)}, "Cl"),
        ({"cation_counts": ()}, "cation_counts"),
        ({"anion_counts": (9,)}, "anion_counts"),
        ({"max_amount": 0}, "max_amount"),
        ({"max_amount": 10**9}, "at most 256 is expected"),
        ({"cations": METALS, "anions": ("O", "S", "Se"), "cation_counts": (4,), "anion_counts": (1, 2, 3)}, "sets of"),
    ],
)
def test_what_cannot_be_enumerated_is_named(fields: dict[str, tuple[str, ...]], named: str) -> None:
    with pytest.raises(InvalidEnumeration, match=named):
        Enumeration(**{"cations": ("Cs", "Pb"), "anions": ("I",), **fields})  # type: ignore[arg-type]
