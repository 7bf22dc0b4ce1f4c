"""Training: labels of ground states, batches, a stage that learns and goes on after a kill, honest spreads."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from workers.predictors.baseline import forest_errors
from workers.predictors.batches import Batch, Batches, Scaling, measure_scaling
from workers.predictors.calibration import Recalibration, level_area, miscalibration, rank_correlation, recalibrate
from workers.predictors.element_statistics import statistics_features
from workers.predictors.elements import NAMES, element_table
from workers.predictors.evaluation import assemble, calibrate, formula_of, properties_of
from workers.predictors.fitting import Stage, Trainee, fit, spent, weights_of
from workers.predictors.labels import gather
from workers.predictors.network import Network, NetworkConfig, mask_tokens
from workers.predictors.objectives import Hiding, Telling, property_loss
from workers.predictors.table import MASK, TASKS, Table
from workers.predictors.transfer.trunk import report_errors

ELEMENTS = ("H", "O", "Na", "Cl", "K")


@pytest.fixture(scope="module")
def table(binaries: Callable[[Sequence[str], int], Table]) -> Table:
    """Two thirds to learn from, of which some have no gap, a sixth each to watch and to test."""
    made = binaries(ELEMENTS, 600)
    made.labels[::7, 0] = np.nan
    made.splits[400:500], made.splits[500:] = 1, 2
    return made


def small_network(table: Table) -> Network:
    torch.manual_seed(0)
    sizes = {"width": 16, "layers": 1, "heads": 2, "waves": 4}
    return Network(NetworkConfig(len(table.elements), table.features.shape[1], len(TASKS), **sizes))


def stage(seconds: float = 0.0, steps: int = 0) -> Stage:
    return Stage("member-0", seconds, 1e-2, 1e-4, 0.0, 0, steps)


def scaling_of(table: Table) -> Scaling:
    return measure_scaling(table, table.rows("train", labelled=True))


def course(table: Table) -> Batches:
    return Batches(table, scaling_of(table), table.rows("train", labelled=True), 64, (0,))


def trainee(network: Network, table: Table) -> Trainee[Batch]:
    unseen = Batches(table, scaling_of(table), table.rows("val", labelled=True), 64, (0,))
    watched = [unseen[step] for step in range(unseen.epoch_steps)]
    telling = Telling(network, Hiding(rows=0.1), (1.0,) * len(TASKS), guess_weight=0.1)
    return Trainee(network, telling, lambda: report_errors(network, watched, scaling_of(table)))


def gap_error(report: str) -> float:
    return float(report.split(",")[0].split()[1])


def test_a_label_is_that_of_the_ground_state(tmp_path: Path) -> None:
    write(
        tmp_path,
        "matbench_mp_e_form",
        composition=["Na1 Cl1", "Na4 Cl4"],
        target=[-1.0, -2.0],
        spacegroup_number=[1, 2],
    )
    for name in ("mp_gap", "log_kvrh", "log_gvrh"):
        columns = {"composition": ["Na1 Cl1", "Na4 Cl4"], "target": [0.1, 5.0], "spacegroup_number": [1, 2]}
        write(tmp_path, f"matbench_{name}", **columns)
    many = ["NaCl", *(f"Na{n}Cl{n + 1}" for n in range(1, 60))]
    energies = {"formation_energy_per_atom": [-1.5] * 60, "decomposition_energy_per_atom": [-0.3] * 60}
    write(tmp_path, "mp_stability", formula=many, **energies)
    oqmd = {"bandgap": [4.0, None], "formation_enthalpy": [43.0, None], "volume_per_atom": [20.0, None]}
    write(tmp_path, "oqmd_composition", formula=["Cl1Na1", "Xe1Na1"], **oqmd)
    write(tmp_path, "mp2025_formulas", formula=["Na3Cl"])
    write(tmp_path, "mp20", formula=["XeF2"])
    found = gather(tmp_path)
    assert found.elements == ("Na", "Cl")  # xenon and fluorine are too rare to be known
    labels = {formula_of(found, row): found.labels[row].tolist() for row in range(len(found.labels))}
    assert labels["Na0.50000000Cl0.50000000"] == pytest.approx([5.0, -2.0, -0.3, 4.0, 6.0, 20.0, 5.0, 5.0])
    assert np.isnan(labels["Na0.75000000Cl0.25000000"]).all()


def write(folder: Path, name: str, **columns: list[object]) -> None:
    pq.write_table(pa.table(columns), folder / f"{name}.parquet")


def test_a_table_comes_back_as_it_was_saved(table: Table, tmp_path: Path) -> None:
    table.save(tmp_path / "table.npz")
    found = Table.load(tmp_path / "table.npz")
    assert found.elements == table.elements
    np.testing.assert_array_equal(found.labels, table.labels)
    np.testing.assert_array_equal(found.shares, table.shares)
    np.testing.assert_array_equal(found.names, table.names)


def test_an_epoch_holds_every_row_once_and_any_step_can_be_asked_again(table: Table) -> None:
    rows = table.rows("train", labelled=True)
    batches = course(table)
    epoch = [batches[step] for step in range(batches.epoch_steps)]
    shares = torch.cat([batch.shares[:, 0] for batch in epoch]).numpy()
    np.testing.assert_array_equal(np.sort(shares), np.sort(table.shares[rows, 0]))
    assert not torch.equal(batches[batches.epoch_steps].shares, epoch[0].shares)
    assert torch.equal(batches[0].shares, epoch[0].shares)


def test_a_stage_learns(table: Table, tmp_path: Path) -> None:
    learner = trainee(small_network(table), table)
    before = gap_error(learner.report())
    fit(learner, stage(steps=150), course(table), tmp_path)
    assert gap_error(learner.report()) < 0.7 * before


def test_a_stage_whose_time_is_spent_is_not_begun_again(table: Table, tmp_path: Path) -> None:
    learner, again = (trainee(small_network(table), table) for _ in range(2))
    for which in (learner, again):
        fit(which, stage(0.3), course(table), tmp_path)
    assert again.report() == learner.report()
    assert spent(tmp_path / "member-0.safetensors") >= 0.3


def test_a_stage_that_was_killed_ends_as_if_it_had_not_been(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.predictors.fitting._SNAPSHOT_SECONDS", 0.0)
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    for folder in (whole, halves):
        folder.mkdir()
    fit(trainee(small_network(table), table), stage(steps=24), course(table), whole)
    batches = course(table)
    with pytest.raises(KeyboardInterrupt):
        fit(trainee(small_network(table), table), stage(steps=24), Interrupted(batches, 11), halves)
    fit(trainee(small_network(table), table), stage(steps=24), batches, halves)
    found, wanted = (weights_of(folder / "member-0.safetensors") for folder in (halves, whole))
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


class Interrupted:
    """Batches that end with a kill."""

    def __init__(self, batches: Batches, last: int) -> None:
        self.epoch_steps = batches.epoch_steps
        self._batches, self._last = batches, last

    def __getitem__(self, step: int) -> Batch:
        if step == self._last:
            raise KeyboardInterrupt
        return self._batches[step]


def test_a_checkpoint_is_assembled_and_calibrated(table: Table, tmp_path: Path) -> None:
    network = small_network(table)
    fit(trainee(network, table), stage(steps=20), course(table), tmp_path)
    ensemble = assemble(scaling_of(table), [tmp_path / "member-0.safetensors"], network.config)
    stretch = calibrate(ensemble.eval(), table)
    assert stretch.shape == (3,) and bool((stretch > 0).all())


def test_masks_hide_at_the_asked_rate_and_leave_the_rest(table: Table) -> None:
    numbers = torch.from_numpy(table.numbers[:, :2].astype(np.int64))
    shares = torch.from_numpy(table.shares[:, :2])
    nothing, everything = torch.zeros(600, 1), torch.ones(600, 1)
    found = mask_tokens(numbers, shares, nothing, torch.Generator().manual_seed(0))
    assert torch.equal(found[0], numbers) and torch.equal(found[1], shares)
    found = mask_tokens(numbers, shares, everything, torch.Generator().manual_seed(0))
    hidden_number, hidden_share = found[0] == MASK, found[1] == 0
    assert bool((hidden_number | hidden_share).all())
    assert (hidden_number & hidden_share).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_the_loss_wants_the_median_and_an_honest_scale_and_ignores_unknown_labels() -> None:
    labels = torch.tensor([[0.0], [1.0], [2.0], [float("nan")]]).repeat(8, 1)
    weights = torch.ones(1)

    def loss(median: float, scale: float) -> float:
        shape = (len(labels), 1)
        return property_loss(torch.full(shape, median), torch.full(shape, scale), labels, weights).item()

    honest = float(np.log(2 / 3))  # the mean absolute error about the median
    assert loss(1.0, honest) < min(loss(0.5, honest), loss(1.5, honest), loss(1.0, honest + 1), loss(1.0, honest - 1))


def test_networks_do_not_care_for_the_order_of_tokens(table: Table) -> None:
    network = small_network(table).eval()
    torch.nn.init.normal_(network.head[-1].weight)
    numbers, shares = torch.tensor([[1, 3, 5]]), torch.tensor([[0.2, 0.3, 0.5]])
    turned = network(numbers.flip(1), shares.flip(1))[0]
    torch.testing.assert_close(network(numbers, shares)[0], turned)


def test_elements_have_physical_properties() -> None:
    rows = element_table(["H", "O", "Fe", "Cs"])
    assert np.isfinite(rows).all()
    assert rows[:, NAMES.index("X")].argmax() == 1  # oxygen
    assert rows[2, NAMES.index("d_valence")] == 6 and rows[2, NAMES.index("d_unfilled")] == 4
    assert rows[1, NAMES.index("p_valence")] == 4 and rows[3, NAMES.index("row")] == 6


def test_the_baseline_sees_weighted_statistics_and_learns(table: Table) -> None:
    numbers, shares = np.array([[1, 2, MASK]]), np.array([[0.25, 0.75, 0.0]])
    found = statistics_features(numbers, shares, np.array([[2.0], [6.0]]))[0]
    assert found[:6].tolist() == pytest.approx([5.0, 1.5, 2.0, 6.0, 4.0, 6.0])
    labels = table.labels[:, 0]
    spread = np.nanmean(np.abs(labels - np.nanmedian(labels)))
    assert forest_errors(table, labels, seed=0).mean() < 0.2 * spread


def test_calibration_is_measured_and_mended() -> None:
    rng = np.random.default_rng(0)
    stds = rng.uniform(0.5, 2.0, 20_000)
    errors = rng.normal(0.0, stds)
    assert miscalibration(errors, stds) < 0.01
    assert miscalibration(errors, stds / 3) > 0.2
    assert 0.3 < rank_correlation(errors, stds) < 1
    assert rank_correlation(stds, stds) == pytest.approx(1.0)


def test_whatever_decomposes_at_a_cost_lies_on_the_hull() -> None:
    labels = properties_of(np.array([[1.0, -2.0, -0.3, 9.0], [0.0, -1.0, 0.2, 9.0]]))
    assert labels.tolist() == [[1.0, -2.0, 0.0], [0.0, -1.0, 0.2]]


def test_scaling_uses_its_rows_alone(table: Table) -> None:
    wild = np.where((table.splits == 0)[:, None], table.labels, 1e6).astype(np.float32)
    changed = Table(table.elements, table.features, table.numbers, table.shares, wild, table.splits, table.names)
    found, wanted = scaling_of(changed), scaling_of(table)
    np.testing.assert_array_equal(found.centre, wanted.centre)
    np.testing.assert_array_equal(found.spread, wanted.spread)


def test_a_task_without_labels_is_left_in_its_own_units(table: Table) -> None:
    empty = table.labels.copy()
    empty[:, 3] = np.nan
    changed = Table(table.elements, table.features, table.numbers, table.shares, empty, table.splits, table.names)
    found = scaling_of(changed)
    assert (found.centre[3], found.spread[3]) == (0.0, 1.0)


def heavy_tailed(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors and stds: hardly any error where the std is small, Laplace where it is large."""
    rng = np.random.default_rng(seed)
    stds = rng.uniform(0.1, 2.0, rows)
    errors = np.where(stds < 0.5, rng.normal(0, 0.1, rows), rng.laplace(0.2, 1.0, rows)) * stds
    return errors, stds


def test_the_shape_of_errors_mends_what_a_factor_cannot() -> None:
    errors, stds = heavy_tailed(6000, 0)
    shape = recalibrate(errors, stds)
    fresh, spread = heavy_tailed(6000, 1)
    factors = np.geomspace(0.2, 5.0, 60)
    assert min(miscalibration(fresh, spread * factor) for factor in factors) > 0.05
    levels = shape.cumulative(-fresh, np.zeros(len(fresh)), spread)
    assert level_area(levels) < 0.02
    assert levels.mean() == pytest.approx(0.5, abs=0.02)  # the bias of the errors is known too


def test_probabilities_are_those_of_a_distribution_and_hold_as_often_as_they_say() -> None:
    errors, stds = heavy_tailed(6000, 0)
    shape = recalibrate(errors, stds)
    fresh, spread = heavy_tailed(6000, 1)
    values = np.full(len(fresh), 1.5)
    truths = values - fresh
    ends = [shape.cumulative(np.full(len(fresh), end), values, spread) for end in (-1e9, 0.0, 1.0, 1.8, 1e9)]
    assert all((low <= high + 1e-12).all() for low, high in zip(ends, ends[1:], strict=False))
    assert ends[0].max() < 1e-6 and ends[-1].min() > 1 - 1e-6
    chances = shape.between(1.0, 1.8, values, spread)
    np.testing.assert_allclose(chances, ends[3] - ends[2])
    likely = chances >= 0.3
    inside = (truths >= 1.0) & (truths <= 1.8)
    assert inside[likely].mean() == pytest.approx(chances[likely].mean(), abs=0.03)


def test_a_shape_survives_its_card() -> None:
    errors, stds = heavy_tailed(2000, 0)
    shape = recalibrate(errors, stds)
    again = Recalibration.from_json(json.loads(json.dumps(shape.to_json())))
    bounds, values = np.zeros(2000), errors
    np.testing.assert_allclose(
        again.cumulative(bounds, values, stds), shape.cumulative(bounds, values, stds), atol=1e-3
    )
    assert (shape.widths(stds) > 0).all()
