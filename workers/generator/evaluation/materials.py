"""Materials that no model has learnt from, with their published properties."""

from dataclasses import dataclass
from math import nan
from pathlib import Path

from workers.generator.evaluation.benchmarks import Target, held_out_rows, to_target, train_formulas
from workers.judge_heads import PREDICTED
from workers.predictors.tokens import name_of, split_of

# Splits of the composition predictor whose formulas are taken, by split of MP-20. What its val split has calibrated is
# good enough to fit weights on, and not to be tested on.
UNLEARNT = {"val": ("val", "test"), "test": ("test",)}


@dataclass(frozen=True, slots=True)
class Material:
    """A held-out structure, its published properties in the order of PREDICTED (NaN where there is none), and whether
    MP-20's train split has its formula in another structure."""

    target: Target
    labels: tuple[float, ...]
    trained: bool


def materials(data: Path, split: str, count: int) -> list[Material]:
    """The first so many, in the order of `held_out`, of those whose formula the composition predictor has not learnt;
    all for a count of 0. Formulas of val that test has too are left out."""
    trained = train_formulas(data)
    others = {row["formula"] for row in held_out_rows(data, "test")} if split == "val" else set()
    rows = held_out_rows(data, split, columns=PREDICTED)
    kept = [r for r in rows if r["formula"] not in others and split_of(name_of(r["formula"])) in UNLEARNT[split]]
    return [
        Material(
            to_target(row),
            tuple(nan if row[name] is None else row[name] for name in PREDICTED),
            row["formula"] in trained,
        )
        for row in kept[: count or None]
    ]
