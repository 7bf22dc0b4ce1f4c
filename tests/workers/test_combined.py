"""One answer of two: the surer one counts for more, and both together are nearer the truth than either."""

import numpy as np
import pytest

from workers.generator.evaluation.combined import Column, Floats, Weighing, excess, fit

BY_VARIANCE = Weighing(slope=2.0)


def answers(count: int, seed: int, wrong: float = 0.0) -> tuple[Column, Column, Floats, Floats]:
    """Two honest answers of differing certainty, the excess of the second's energy, and the truth; some of the second
    are of a wrong structure, which lies higher in energy and does not know that it is wrong."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0.0, 2.0, count)
    first, second = np.exp(rng.normal(-1.5, 0.6, count)), np.exp(rng.normal(-1.5, 0.6, count))
    missed = rng.random(count) < wrong
    values = truth + rng.laplace(0.0, second / 2**0.5) + missed * rng.normal(0.0, 3.0, count)
    height = rng.normal(0.0, 1.0, count) + missed * rng.uniform(1.0, 5.0, count)
    return Column(truth + rng.laplace(0.0, first / 2**0.5), first), Column(values, second), height, truth


def error(column: Column, truth: Floats) -> float:
    return float(np.abs(column.values - truth).mean())


def test_the_surer_answer_counts_for_more() -> None:
    own, other = Column(np.zeros(3), np.array([0.1, 0.2, 0.4])), Column(np.ones(3), np.full(3, 0.2))
    share = BY_VARIANCE.share(own, other, np.zeros(3))
    np.testing.assert_allclose(share, own.stds**2 / (own.stds**2 + other.stds**2))
    np.testing.assert_allclose(BY_VARIANCE.combine(own, other, np.zeros(3)).values, share)


def test_a_structure_that_lies_too_high_counts_for_less() -> None:
    own, other = Column(np.zeros(4), np.full(4, 0.1)), Column(np.ones(4), np.full(4, 0.1))
    energies = Column(np.zeros(4), np.full(4, 0.05)), Column(np.array([-0.1, 0.0, 0.1, 9.0]), np.full(4, 0.02))
    heights = excess(*energies)
    np.testing.assert_allclose(heights, [-2, 0, 2, 5])  # farther away says no more
    share = Weighing(above=-1.0, below=0.5).share(own, other, heights)
    assert share[0] > share[1] == 0.5 > share[2] > share[3] > 0


def test_answers_that_agree_are_left_as_they_are() -> None:
    own = Column(np.array([1.5, -2.0]), np.array([0.3, 0.1]))
    found = Weighing(0.7, 1.2, -0.4, 0.1).combine(own, own, np.array([1.0, -1.0]))
    np.testing.assert_allclose(found.values, own.values)
    np.testing.assert_allclose(found.stds, own.stds)


def test_answers_far_apart_are_less_sure_than_either() -> None:
    own, other = Column(np.array([0.0]), np.array([0.1])), Column(np.array([2.0]), np.array([0.1]))
    assert BY_VARIANCE.combine(own, other, np.zeros(1)).stds[0] > 0.9


@pytest.mark.parametrize("wrong", [0.0, 0.3])
def test_both_together_are_nearer_the_truth_than_either(wrong: float) -> None:
    found = fit(*answers(800, 0, wrong))
    own, other, heights, truth = answers(4000, 1, wrong)
    both = found.combine(own, other, heights)
    assert error(both, truth) < 0.95 * min(error(own, truth), error(other, truth))
    assert np.mean(np.abs(both.values - truth) <= both.stds) == pytest.approx(0.68, abs=0.04)


def test_that_high_energies_tell_wrong_structures_is_learnt() -> None:
    assert fit(*answers(800, 0, 0.3)).above < -0.3 < 0.3 < fit(*answers(800, 0, 0.3)).slope


def test_a_worthless_answer_does_hardly_any_harm() -> None:
    own, other, heights, truth = answers(800, 2)
    noise = Column(np.random.default_rng(3).normal(0.0, 5.0, 800), other.stds)
    assert error(fit(own, noise, heights, truth).combine(own, noise, heights), truth) < 1.1 * error(own, truth)
    assert error(fit(noise, own, heights, truth).combine(noise, own, heights), truth) < 1.1 * error(own, truth)


def test_a_standard_deviation_of_zero_is_no_division_by_it() -> None:
    own, other, heights, truth = answers(100, 4)
    sure = Column(own.values, np.zeros(100))
    assert np.isfinite(excess(sure, other)).all()
    both = fit(sure, other, heights, truth).combine(sure, other, heights)
    assert np.isfinite(both.values).all() and np.isfinite(both.stds).all()
