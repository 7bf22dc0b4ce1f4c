from math import gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.compositions import INERT, from_amounts
from workers.spellings import formula_hill, spellings
from workers.symbols import SYMBOLS

amounts = st.dictionaries(
    st.sampled_from([symbol for symbol in SYMBOLS if symbol not in INERT]), st.integers(1, 24), min_size=1, max_size=6
)


@given(amounts)
def test_elements_stand_in_alphabetical_order_with_the_smallest_whole_numbers(asked: dict[str, int]) -> None:
    factor = gcd(*asked.values())
    reduced, anonymous = spellings(from_amounts(asked).formula)
    assert reduced == "".join(
        symbol + (str(asked[symbol] // factor) if asked[symbol] != factor else "") for symbol in sorted(asked)
    )
    largest = sorted((amount // factor for amount in asked.values()), reverse=True)
    assert anonymous == "".join(
        letter + (str(amount) if amount > 1 else "") for letter, amount in zip("ABCDEF", largest, strict=False)
    )


@pytest.mark.parametrize(
    ("formula", "reduced", "anonymous", "hill"),
    [
        ("Ca3(PO4)2", "Ca3O8P2", "A8B3C2", "Ca3O8P2"),
        ("C2H6O", "C2H6O", "A6B2C", "C2H6O"),
        ("BaCO3", "BaCO3", "A3BC", "CBaO3"),
        ("O2", "O", "A", "O2"),
        ("Fe0.62C0.38", None, None, None),
        ("Ba(Fe0.5O)2", None, None, None),
    ],
)
def test_spellings(formula: str, reduced: str | None, anonymous: str | None, hill: str | None) -> None:
    assert (*spellings(formula), formula_hill(formula)) == (reduced, anonymous, hill)
