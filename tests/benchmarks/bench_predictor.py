"""Formulas per second of the composition predictor on one thread, in tiles and one formula a call."""

from itertools import combinations, product
from time import perf_counter

import torch

from workers.cards import load_checkpoint
from workers.predictors.predictor import CompositionPredictor


def quaternaries(count: int) -> list[str]:
    """Halides and chalcogenides of three metals."""
    metals = combinations(("Li", "Na", "K", "Cu", "Ag", "Mg", "Zn", "In", "Sn", "Sb", "Bi", "La"), 3)
    found = (f"{a}{b}{n}{c}{m}{x}6" for (a, b, c), x, n, m in product(metals, ("S", "Se", "Br", "I"), (1, 2), (1, 3)))
    return [formula for formula, _ in zip(found, range(count), strict=False)]


def rate(predictor: CompositionPredictor, batches: list[list[str]]) -> float:
    """Formulas per second."""
    began = perf_counter()
    for batch in batches:
        predictor.predict(batch)
    return sum(map(len, batches)) / (perf_counter() - began)


def test_formulas_per_second_of_one_thread() -> None:
    torch.set_num_threads(1)
    predictor = CompositionPredictor(*load_checkpoint("composition-predictor"), device="cpu")
    formulas = quaternaries(3328)
    predictor.predict(formulas[:256])
    tiled, single = rate(predictor, [formulas]), rate(predictor, [[formula] for formula in formulas[:64]])
    print(f"\ncomposition predictor: {tiled:,.0f} formulas/s on one thread, {tiled / single:.0f} × one formula a call")
