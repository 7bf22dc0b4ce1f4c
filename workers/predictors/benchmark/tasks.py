"""The benchmark's tasks as sheets: official folds and splits, on composition alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from workers.predictors.transfer.holdout import SOURCES
from workers.predictors.tuning.sheet import Sheet, read_sheet

PUBLISHED: dict[str, str] = {
    "expt_gap": "MAE 0.2865 (Darwin), 0.3310 (CrabNet, tuned), 0.4461 (random forest)",
    "expt_is_metal": "balanced accuracy 0.9598 (Darwin), 0.9209 (AMMExpress), 0.9167 (random forest)",
    "steels": "MAE 79.95 (TPOT-Mat), 87.76 (MODNet), 103.51 (random forest), 107.32 (CrabNet)",
    "glass": "balanced accuracy 0.9603 (MODNet), 0.8607 (AMMExpress), 0.8587 (random forest)",
    "mp_gap": "MAE 0.2308 from composition alone (all folds)",
    "mp_e_form": "MAE 0.0839 from composition alone (all folds)",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """A task and one of its tests: rows to learn from, and rows to be measured on."""

    task: str
    part: str
    train: Sheet
    test: Sheet


def parts_of(task: str) -> tuple[str, ...]:
    """The tests of a task: folds by number, or the one split."""
    return tuple(str(part) for part in SOURCES[task].tests)


def read_trial(data: Path, task: str, part: str, elements: Sequence[str]) -> Trial:
    """The rows of one test of a task. A split's own validation rows are learned from, as its own publication did in
    choosing a model; rows that spell no composition are in neither."""
    source = SOURCES[task]
    table = pq.read_table(data / f"{source.table}.parquet", columns=[source.formula, source.target, source.part])
    targets = [np.nan if value is None else float(value) for value in table[source.target].to_pylist()]
    sheet, kept = read_sheet(table[source.formula].to_pylist(), targets, elements, source.classification)
    parts = np.array([str(value) for value in table[source.part].to_pylist()])[kept]
    return Trial(task, part, sheet.take(np.flatnonzero(parts != part)), sheet.take(np.flatnonzero(parts == part)))
