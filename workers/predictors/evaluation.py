"""From trained members to a checkpoint: assembled, calibrated on the val split, measured on the test split."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workers.cards import Card, Json, save_checkpoint, write_card
from workers.predictors.baseline import TREES, forest_errors
from workers.predictors.batches import Batches, Scaling, measure_scaling
from workers.predictors.calibration import Recalibration, level_area, miscalibration, rank_correlation, recalibrate
from workers.predictors.fitting import spent, weights_of
from workers.predictors.network import NetworkConfig
from workers.predictors.predictor import PROPERTIES, CompositionPredictor, Ensemble, bounded
from workers.predictors.table import LABELS, LONGEST, TASKS, Table

NAME = "composition-predictor"
TILE = 256
_STRETCHES = np.geomspace(0.2, 5.0, 161)
_COMMAND = (
    f"python -m workers.training {NAME} STEP --data DIR --minutes {{:.0f}} --seed {{}}, STEP: prepare, train, evaluate"
)
_DATA = (
    "Materials Project: matbench_mp_e_form, matbench_mp_gap, mp_stability (ground state of each composition: lowest "
    "formation energy, its gap, decomposition energy); OQMD gap, formation enthalpy and volume as auxiliary tasks; "
    "moduli of log_kvrh and log_gvrh likewise; formulas of mp2025_formulas and mp20 for masked pretraining; a teacher "
    "of the structures of mp20 and mp2025_structures: CHGNet 0.3.0's view of them, their symmetry, their scalars"
)
_HELD_OUT = (
    "by composition, hash of elements and shares: 10 % test, in no label, no formula and no structure; 5 % val, in no "
    "label and no pretraining formula, but among the teacher's structures"
)


def publish(table: Table, work: Path, device: str, seed: int) -> Card:
    """Write the checkpoint and its card to the work folder and return the card."""
    members = sorted(work.glob("member-*.safetensors"))
    config = NetworkConfig(len(table.elements), table.features.shape[1], len(TASKS))
    scaling = measure_scaling(table, np.flatnonzero(table.splits != 2))  # as the trunk measures it, without the test
    ensemble = assemble(scaling, members, config).to(device).eval()
    ensemble.stretch.copy_(calibrate(ensemble, table))
    seconds = sum(spent(path) for path in (*work.glob("trunks/product/*.safetensors"), *members))
    fields: Json = {
        "name": NAME,
        "kind": NAME,
        "config": {"elements": list(table.elements), "longest": LONGEST, "network": asdict(ensemble.config)},
        "tile": TILE,
        "properties": PROPERTIES,
        "data": _DATA,
        "licence": "Materials Project and OQMD: CC-BY 4.0",
        "held_out": _HELD_OUT,
        "seed": seed,
        "hardware": f"CPU, {torch.get_num_threads()} thread",
        "seconds": round(seconds),
        "command": _COMMAND.format(seconds / 60, seed),
    }
    arrays = {name: value.cpu().numpy() for name, value in ensemble.state_dict().items()}
    card = save_checkpoint(work / "checkpoint", arrays, **fields)
    shapes = learn_shapes(table, CompositionPredictor(card, arrays, device))
    card = replace(card, config={**card.config, "shapes": shapes})
    metrics = compare(table, CompositionPredictor(card, arrays, device), work, seed)
    card = replace(card, metrics=metrics)
    write_card(work / "checkpoint", card)
    return card


def assemble(scaling: Scaling, members: list[Path], config: NetworkConfig) -> Ensemble:
    """The ensemble of snapshots of its members, uncalibrated."""
    ensemble = Ensemble(config, len(members))
    for member, path in zip(ensemble.members, members, strict=True):
        member.load_state_dict(weights_of(path))
    ensemble.centre.copy_(torch.from_numpy(scaling.centre[:LABELS]))
    ensemble.spread.copy_(torch.from_numpy(scaling.spread[:LABELS]))
    return ensemble


@torch.inference_mode()
def calibrate(ensemble: Ensemble, table: Table) -> torch.Tensor:
    """Factors on the standard deviations (property,) with the least miscalibration on the val split."""
    unit = Scaling(np.zeros(len(TASKS)), np.ones(len(TASKS)))
    batches = Batches(table, unit, table.rows("val", labelled=True), TILE, (0,))
    found = [batches[step] for step in range(batches.epoch_steps)]
    device = ensemble.stretch.device
    raw = [ensemble.unbounded(batch.numbers.to(device), batch.shares.to(device)) for batch in found]
    values, stds = (torch.cat(part).cpu() for part in zip(*raw, strict=True))
    labels = properties_of(torch.cat([batch.labels for batch in found]).double().numpy())
    areas = [_areas(values, stds * stretch, labels) for stretch in _STRETCHES]
    return torch.from_numpy(_STRETCHES[np.argmin(areas, axis=0)])


def _areas(values: torch.Tensor, stds: torch.Tensor, labels: np.ndarray) -> list[float]:
    errors = bounded(values, stds).double().numpy() - labels
    known = np.isfinite(labels)
    columns = range(len(PROPERTIES))
    spread = stds.double().numpy()
    return [miscalibration(errors[known[:, i], i], spread[known[:, i], i]) for i in columns]


def properties_of(labels: np.ndarray) -> np.ndarray:
    """Labels (n, property) from those of the tasks; who decomposes at a cost lies on the hull, at zero above it."""
    found = labels[:, :LABELS].astype(np.float64)
    found[:, 2] = np.maximum(found[:, 2], 0.0)
    return found


def learn_shapes(table: Table, predictor: CompositionPredictor) -> Json:
    """By property the shape of the errors on the val split, for the card."""
    rows = table.rows("val", labelled=True)
    values, stds = predictor.predict_arrays([formula_of(table, row) for row in rows])
    errors = values - properties_of(table.labels[rows])
    known = np.isfinite(errors)
    columns = enumerate(PROPERTIES)
    return {name: recalibrate(errors[known[:, i], i], stds[known[:, i], i]).to_json() for i, name in columns}


def compare(table: Table, predictor: CompositionPredictor, work: Path, seed: int) -> Json:
    """Metrics of the test split for each property, beside those of the random forest."""
    rows = table.rows("test", labelled=True)
    values, stds = predictor.predict_arrays([formula_of(table, row) for row in rows])
    labels = properties_of(table.labels)
    shapes: Any = predictor.card.config["shapes"]
    metrics: Json = {}
    for column, name in enumerate(PROPERTIES):
        known = np.isfinite(labels[rows, column])
        errors, spread = (values - labels[rows])[known, column], stds[known, column]
        forest = _forest(table, labels[:, column], work / f"forest-{name}.npy", seed)
        shape = Recalibration.from_json(shapes[name])
        metrics[name] = measure(errors, spread, shape) | {
            "random_forest_mae": round(float(forest.mean()), 5),
            "mae_below_forest": round(1 - float(np.abs(errors).mean() / forest.mean()), 4),
        }
    return metrics | {"random_forest": f"{TREES} trees, statistics of elemental properties, same split"}


def measure(errors: np.ndarray, stds: np.ndarray, shape: Recalibration) -> dict[str, float]:
    """Error, calibration and ranking of one property over test rows; the area by the errors' shape, and by a normal
    distribution of the standard deviation."""
    levels = shape.cumulative(-errors, np.zeros(len(errors)), stds)
    return {
        "test_rows": len(errors),
        "mae": round(float(np.abs(errors).mean()), 5),
        "bias": round(float(errors.mean()), 5),
        "miscalibration_area": round(level_area(levels), 4),
        "normal_miscalibration_area": round(miscalibration(errors, stds), 4),
        "spearman_error_std": round(rank_correlation(errors, stds), 4),
    }


def formula_of(table: Table, row: int) -> str:
    """A formula that spells a row's tokens."""
    terms = zip(table.numbers[row], table.shares[row], strict=True)
    return "".join(f"{table.elements[number - 1]}{share:.8f}" for number, share in terms if number)


def _forest(table: Table, labels: np.ndarray, kept: Path, seed: int) -> np.ndarray:
    """The forest's errors, kept in a file: it takes longer than all else here."""
    if not kept.is_file():
        np.save(kept, forest_errors(table, labels, seed))
    return np.asarray(np.load(kept))
