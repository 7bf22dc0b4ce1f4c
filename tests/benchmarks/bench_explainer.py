"""Explanations per second (exact, order 2, five elements) on two cores, beside plain loops over shapiq.

The loops ask shapiq's exact computer for one formula after the other, and the same predictor, whose tile is what one
call brings (nothing is padded) or that of its card.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations, product
from time import perf_counter, process_time

import numpy as np
import torch
from shapiq import ExactComputer

from workers.cards import load_checkpoint
from workers.explainer import explain
from workers.explanations import Question
from workers.games.players import read_game
from workers.predictors.predictor import CompositionPredictor

BATCH, CORES = 32, 2
QUESTION = Question("band_gap", "k-SII", 2)
COLUMN = CompositionPredictor.properties.index(QUESTION.property)


def quinaries(count: int) -> list[str]:
    """Oxyhalides and chalcogenides of three metals."""
    metals = combinations(("Li", "Na", "K", "Cu", "Ag", "Mg", "Zn", "In", "Sn", "Sb", "Bi", "La"), 3)
    anions = (("O", "F"), ("S", "Cl"), ("Se", "Br"), ("Te", "I"))
    found = (f"{a}{b}{n}{c}{x}{m}{y}" for (a, b, c), (x, y), n, m in product(metals, anions, (1, 2), (3, 5)))
    return [formula for formula, _ in zip(found, range(count), strict=False)]


def timed(play: Callable[[], object], count: int) -> tuple[float, float]:
    """Seconds, and seconds of processors, for each of so many formulas."""
    began, worked = perf_counter(), process_time()
    play()
    return (perf_counter() - began) / count, (process_time() - worked) / count


def loop(predictor: CompositionPredictor, formulas: list[str], together: bool) -> tuple[float, float]:
    """One formula after the other; its coalitions are predicted together, or one after the other."""

    def explain_one(formula: str) -> None:
        game = read_game(predictor.tokenizer, formula, QUESTION.players)

        def play(present: np.ndarray) -> np.ndarray:
            parts = [present] if together else present[:, None]
            return np.concatenate([predictor.masked_predict(*game.rows(part))[0][:, COLUMN] for part in parts])

        ExactComputer(play, n_players=len(game.names))(QUESTION.index, QUESTION.order)

    return timed(lambda: [explain_one(formula) for formula in formulas], len(formulas))


def batched(predictors: list[CompositionPredictor], formulas: list[str]) -> tuple[float, float]:
    """Batches as the explain stage has them; each core has a predictor of its own, as each actor has."""
    batches = [formulas[start : start + BATCH] for start in range(0, len(formulas), BATCH)]

    def work(core: int) -> None:
        for batch in batches[core::CORES]:
            explain(predictors[core], batch, QUESTION)

    with ThreadPoolExecutor(CORES, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return timed(lambda: list(pool.map(work, range(CORES))), len(formulas))


def test_explanations_per_second_of_two_cores() -> None:
    torch.set_num_threads(1)
    card, arrays = load_checkpoint("composition-predictor")
    by_tile = {tile: CompositionPredictor(replace(card, tile=tile), arrays, "cpu") for tile in (1, 2**5, card.tile)}
    formulas = quinaries(4 * BATCH)
    ours = [CompositionPredictor(card, arrays, "cpu") for _ in range(CORES)]
    batched(ours, formulas[:2])
    seconds, work = batched(ours, formulas)
    loops = {
        "one coalition a call": loop(by_tile[1], formulas[:3], together=False),
        "one formula a call": loop(by_tile[2**5], formulas[:12], together=True),
        f"one formula a call, padded to the tile of {card.tile}": loop(by_tile[card.tile], formulas[:4], together=True),
    }
    print(f"\nexplainer, exact, order 2, 5 elements: {1 / seconds:,.1f}/s on {CORES} cores", end="; ")
    print(f"{1 / work:,.1f} in a second of one core's own time")
    for name, (other, labour) in loops.items():
        print(
            f"  plain shapiq loop, {name}: {1 / other:,.2f}/s, {1 / labour:,.2f} in a second of its core's own time;",
            end=" ",
        )
        print(
            f"{other / seconds:,.1f} times slower ({CORES * labour / work:,.1f} times by own time, {CORES} cores to 1)"
        )
