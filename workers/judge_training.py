"""The structure predictor's recipe: prepare the table, train the heads, measure what was held out."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from workers.cards import PRETRAINED, load_checkpoint, save_checkpoint, write_card
from workers.judge_heads import FRACTIONS, OUTPUTS, PREDICTED, UNITS, Judge, ridge_energy
from workers.judge_networks import Recipe, fit, standardize, to_arrays
from workers.judge_scores import Arrays, calibrate, measure, rows_of
from workers.properties import structure_name

NAME = "structure-predictor"
MEMBERS = 4
RECIPE = Recipe()
RIDGE = 0.01
DATA = (
    "MP-20 train (26,196 rows with coordinates, mapped ones too) and materials outside it of at most 20 atoms with a"
    " formation energy of the Materials Project of 2018, moved to MP-20's scale by element; energies above the hull are"
    " predicted formation energies less the hull of MP-20 and the stable rows of Bartel 2020 (moved likewise)"
)
HELD_OUT = (
    "MP-20 val (calibration) and test as published, polymorphs of their formulas, and a tenth of the formulas outside"
    " MP-20; each row is judged against a hull without its own formula, but the shipped hull holds all known phases"
)
NOTES = (
    "CHGNet 0.3.0 was trained on MPtrj, which holds most materials of MP-20, its test split included: the errors say"
    " how well the heads read a potential that has seen the materials, not how they fare on unseen chemistry. MP-20"
    " holds only materials within 0.08 eV/atom of the hull; polymorph_test shows the error farther away."
)
NARROWEST = 1e-3  # an input that hardly varies is not blown up


def prepare(data: Path, work: Path) -> None:
    """Write the training table; the only step that needs CHGNet and pymatgen, hence not imported with the others."""
    import_module("workers.judge_tables").prepare(data, work)


def train(work: Path, device: str, minutes: float, resume: bool, seed: int, shipped: Path = PRETRAINED / NAME) -> None:
    """Train the ensemble on the prepared table and write the checkpoint. Members already trained are kept on resume;
    none is begun once the minutes are over, as long as there is one."""
    table = dict(np.load(work / "table.npz"))
    rows = rows_of(table, "train", "polymorph")
    arrays = {"ridge": fit_ridge(table), "calibration": np.ones(3)} | _named("hull", dict(np.load(work / "phases.npz")))
    lesson = Lesson(work, device, monotonic() + 60 * minutes, resume, seed)
    arrays |= _named("heads", lesson.teach(table["features"][rows], read_targets(table, arrays["ridge"])[rows]))
    seconds = arrays.pop("heads.seconds").sum()
    arrays["calibration"] = calibrate(Judge(arrays, device), table)
    card = save_checkpoint(shipped, arrays, **description(len(arrays["heads.bias0"]), seed, device, float(seconds)))
    print(f"{card.name} {card.model_id[:12]}: calibration {arrays['calibration'].round(2).tolist()}", flush=True)


def evaluate(data: Path, work: Path, device: str, seed: int, shipped: Path = PRETRAINED / NAME) -> None:
    """Measure the shipped checkpoint on the held-out rows of the prepared table and write the numbers in its card."""
    card, arrays = load_checkpoint(shipped)
    metrics = measure(Judge(arrays, device), dict(np.load(work / "table.npz")))
    write_card(shipped, replace(card, metrics=metrics))
    for name, value in metrics.items():
        print(f"{name}: {value}", flush=True)


@dataclass(frozen=True, slots=True)
class Lesson:
    """Where, until when and from which seed an ensemble is trained."""

    work: Path
    device: str
    deadline: float  # of the monotonic clock
    resume: bool
    seed: int

    def teach(self, inputs: np.ndarray, targets: np.ndarray) -> Arrays:
        """The stacked arrays of an ensemble for inputs (n, p) and targets (n, T), with the inputs' center and
        spread."""
        center, spread = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), NARROWEST)
        rows = standardize(*(torch.as_tensor(array, device=self.device) for array in (inputs, center, spread)))
        aims = torch.as_tensor(targets.astype(np.float32), device=self.device)
        members: list[Arrays] = []
        while len(members) < MEMBERS and (not members or monotonic() < self.deadline):
            members.append(self._member(len(members), rows, aims))
        stacked = {key: np.stack([member[key] for member in members]) for key in members[0]}
        return {"center": center, "spread": spread} | stacked

    def _member(self, member: int, inputs: torch.Tensor, targets: torch.Tensor) -> Arrays:
        path = self.work / f"member-{self.seed}-{member}.npz"
        if self.resume and path.exists():
            return dict(np.load(path))
        began = monotonic()
        *_, network = fit(inputs, targets, RECIPE, 1000 * self.seed + member)
        arrays = to_arrays(network) | {"seconds": np.array(monotonic() - began)}
        np.savez(path, **arrays)  # type: ignore[arg-type]
        print(f"{path.stem}: {monotonic() - began:.0f} s", flush=True)
        return arrays


def fit_ridge(table: Arrays) -> np.ndarray:
    """Formation energy as a linear function of CHGNet's energy and the atomic fractions, over the training split."""
    rows = rows_of(table, "train")
    inputs = table["features"][rows][:, FRACTIONS].astype(np.float64)
    return np.linalg.solve(
        inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1]), inputs.T @ table["formation_energy_per_atom"][rows]
    )


def read_targets(table: Arrays, ridge: np.ndarray) -> np.ndarray:
    """The band gap and what the linear fit of the formation energy leaves, (n, 2) in units of the heads."""
    rest = table["formation_energy_per_atom"] - ridge_energy(table["features"], ridge)
    columns = {"band_gap": table["band_gap"], "formation_energy_per_atom": rest}
    return np.stack([columns[name] / UNITS[name] for name in OUTPUTS], axis=1)


def description(members: int, seed: int, device: str, seconds: float) -> dict[str, object]:
    """The card's fields that are known before the checkpoint is measured."""
    return {
        "name": NAME,
        "kind": NAME,
        "tile": 1,
        "config": {"potential": "CHGNet 0.3.0", "members": members} | asdict(RECIPE),
        "properties": tuple(structure_name(name) for name in (*PREDICTED, "density")),
        "data": DATA,
        "licence": "CC-BY 4.0 (Materials Project)",
        "held_out": HELD_OUT,
        "seed": seed,
        "hardware": f"{device}, {torch.get_num_threads()} thread(s)",
        "seconds": round(seconds, 1),
        "command": f"python -m workers.training {NAME} train --seed {seed}",
        "notes": NOTES,
    }


def _named(name: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    return {f"{name}.{key}": array for key, array in arrays.items()}
