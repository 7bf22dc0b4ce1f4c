"""The number of formula units in a cell follows what is known of such formulas."""

import numpy as np

from workers.generator.units import UnitCounts, count_units

SEEN = [[1, 1]] * 6 + [[2, 2]] * 2 + [[1, 1, 3]] * 4 + [[2, 2, 6]] + [[4, 1]] * 3


def test_formulas_are_counted_by_atoms_and_by_pattern() -> None:
    arrays = count_units(SEEN)
    assert arrays["units"][2, 1] == 6
    assert arrays["units"][2, 2] == 2
    assert arrays["units"][5, 1] == 7  # ABC3 and AB4 together
    assert len(arrays["patterns"]) == 3
    assert arrays["pattern_units"].sum() == len(SEEN)


def test_draws_follow_the_counts() -> None:
    units = UnitCounts(count_units(SEEN))
    chosen = [units.choose([1, 1], [1, 2], 1.0, draw) for draw in np.linspace(0, 0.999, 200)]
    assert 0.6 < chosen.count(1) / 200 < 0.85
    cold = [units.choose([1, 1], [1, 2], 0.2, draw) for draw in np.linspace(0, 0.999, 200)]
    assert cold.count(1) > chosen.count(1)


def test_a_pattern_tells_more_than_its_number_of_atoms() -> None:
    units = UnitCounts(count_units(SEEN))
    middle = np.linspace(0, 0.999, 200)
    assert all(units.choose([1, 4], [1, 2], 0.2, draw) == 1 for draw in middle[:-2])
    assert sum(units.choose([3, 1, 1], [1, 2], 1.0, draw) == 2 for draw in middle) > 0


def test_only_what_fits_is_chosen() -> None:
    units = UnitCounts(count_units(SEEN))
    assert {units.choose([1, 1], [2], 1.0, draw) for draw in (0.0, 0.5, 0.999)} == {2}
    assert units.choose([7, 5, 3], [1], 1.0, 0.5) == 1  # never seen


def test_order_of_the_elements_does_not_matter() -> None:
    units = UnitCounts(count_units(SEEN))
    draws = np.linspace(0, 0.999, 20)
    first, second = ([units.choose(amounts, [1, 2, 4], 0.7, d) for d in draws] for amounts in ([1, 1, 3], [3, 1, 1]))
    assert first == second
