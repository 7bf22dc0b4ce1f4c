"""Formulas per second of the composition predictor on one thread; more than 1,200 are wanted."""

from itertools import combinations, product
from time import perf_counter

import torch

from workers.cards import load_checkpoint
from workers.predictors.predictor import CompositionPredictor

WANTED = 1200


def quaternaries(count: int) -> list[str]:
    """Halides and chalcogenides of three metals."""
    metals = combinations(("Li", "Na", "K", "Cu", "Ag", "Mg", "Zn", "In", "Sn", "Sb", "Bi", "La"), 3)
    found = (f"{a}{b}{n}{c}{m}{x}6" for (a, b, c), x, n, m in product(metals, ("S", "Se", "Br", "I"), (1, 2), (1, 3)))
    return [formula for formula, _ in zip(found, range(count), strict=False)]


def test_formulas_per_second_of_one_thread() -> None:
    torch.set_num_threads(1)
    predictor = CompositionPredictor(*load_checkpoint("composition-predictor"), device="cpu")
    formulas = quaternaries(3328)
    predictor.predict(formulas[:256])
    began = perf_counter()
    predictor.predict(formulas)
    rate = len(formulas) / (perf_counter() - began)
    print(f"\ncomposition predictor: {rate:,.0f} formulas/s on one thread")
    assert rate > WANTED
