"""What is held out of a trunk: the test compositions of the tasks that it will be measured on.

A trunk costs as much as a fine-tuning, so tasks share one where their tests overlap, or are small. Whatever one of
them tests is in no label, no structure and no pretraining formula of their trunk: never less than a task's own test,
sometimes more, so that a task never gains by the sharing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from workers.predictors.tokens import name_of

SCOPES: dict[str, tuple[str, ...]] = {
    "gaps": ("mp_gap", "mp_is_metal"),
    "energies": ("mp_e_form", "mp_stability_ef", "mp_stability_ed"),
    "others": (
        "expt_gap", "expt_is_metal", "steels", "glass", "log_kvrh", "log_gvrh", "perovskites", "oqmd_gap",
    ),
    "all": (),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """Where a task's compositions and targets stand. A column of folds is tested fold by fold, all of them for small
    tables and the first alone for large ones; a column of splits has one test."""

    table: str
    formula: str
    target: str
    part: str
    folds: tuple[int, ...] = ()
    classification: bool = False

    @property
    def tests(self) -> tuple[object, ...]:
        """The values of the column of parts that are tested."""
        return self.folds or ("test",)


def _matbench(name: str, folds: tuple[int, ...] = (0,), classification: bool = False) -> Source:
    return Source(f"matbench_{name}", "composition", "target", "fold", folds, classification)


_ALL = (0, 1, 2, 3, 4)
_STABILITY = "energy_per_atom"
SOURCES: dict[str, Source] = {
    "expt_gap": _matbench("expt_gap", _ALL),
    "expt_is_metal": _matbench("expt_is_metal", _ALL, True),
    "steels": _matbench("steels", _ALL),
    "glass": _matbench("glass", _ALL, True),
    "mp_gap": _matbench("mp_gap"),
    "mp_e_form": _matbench("mp_e_form"),
    "mp_is_metal": _matbench("mp_is_metal", classification=True),
    "log_kvrh": _matbench("log_kvrh"),
    "log_gvrh": _matbench("log_gvrh"),
    "perovskites": _matbench("perovskites"),
    "mp_stability_ef": Source("mp_stability", "formula", f"formation_{_STABILITY}", "split_ef"),
    "mp_stability_ed": Source("mp_stability", "formula", f"decomposition_{_STABILITY}", "split_ed"),
    "oqmd_gap": Source("oqmd_composition", "formula", "bandgap", "split_bandgap"),
}


def scope_of(task: str) -> str:
    """The trunk that a task is measured with."""
    return next(scope for scope, tasks in SCOPES.items() if task in tasks)


def held_out(data: Path, scope: str) -> frozenset[str]:
    """Identities of all compositions that the tasks of a scope test."""
    return frozenset().union(*(examined(data, SOURCES[task]) for task in SCOPES[scope]))


def examined(data: Path, source: Source) -> frozenset[str]:
    """Identities of the compositions in a task's tests, all of its folds that are measured together."""
    table = pq.read_table(data / f"{source.table}.parquet", columns=[source.formula, source.part])
    parts = zip(table[source.formula].to_pylist(), table[source.part].to_pylist(), strict=True)
    return identities(formula for formula, part in parts if part in source.tests)


def identities(formulas: Iterable[str]) -> frozenset[str]:
    """The identities of formulas; what spells no composition has none."""
    return frozenset(name for formula in formulas if (name := name_of(formula)))
