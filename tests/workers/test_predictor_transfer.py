"""A trunk: what is held out reaches no batch, alignment comes closer, stages go on after a kill."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from workers.predictors.batches import Batch, Batches, measure_scaling
from workers.predictors.evaluation import assemble
from workers.predictors.fitting import weights_of
from workers.predictors.objectives import Hiding
from workers.predictors.table import TASKS, Table
from workers.predictors.teacher.descriptions import shard_path
from workers.predictors.teacher.targets import Targets
from workers.predictors.tokens import name_of
from workers.predictors.training import MEMBERS, train
from workers.predictors.transfer import trunk as trunks
from workers.predictors.transfer.holdout import SCOPES, SOURCES, examined, held_out, scope_of
from workers.predictors.transfer.making import TABLE
from workers.predictors.transfer.student import Aligning, Student
from workers.predictors.transfer.trunk import Budget, Trunk, new_network, stability_weights

ELEMENTS = ("H", "O", "Na", "Cl", "K", "Fe")
BUDGET = Budget(steps=6)


@pytest.fixture(scope="module")
def table(binaries: Callable[[Sequence[str], int], Table]) -> Table:
    made = binaries(ELEMENTS, 300)
    made.splits[::20] = 1
    return made


@pytest.fixture(scope="module")
def targets(table: Table) -> Targets:
    """Unit vectors that the composition tells; of every third formula nothing is known."""
    angles = table.labels[:, 0] / 2
    vectors = np.stack([np.cos(angles), np.sin(angles), np.zeros(300)], axis=1).astype(np.float32)
    known = np.arange(300) % 3 != 0
    return Targets(table.names[known], vectors[known], np.roll(vectors[known], 1, axis=1))


SPARED = frozenset(f"composition {row}" for row in range(0, 300, 7))


def test_what_is_held_out_is_in_no_batch_of_any_stage(
    table: Table, targets: Targets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[int] = set()

    class Watching(Batches):
        def __getitem__(self, step: int) -> Batch:
            batch = super().__getitem__(step)
            seen.update(batch.rows.tolist())
            return batch

    monkeypatch.setattr(trunks, "Batches", Watching)
    trunk = Trunk(table, SPARED, tmp_path, BUDGET, seed=0)
    trunk.mask()
    trunk.align(targets, "ground")
    trunk.teach()
    names = {str(name) for name in table.names[sorted(seen)]}
    assert len(names) > 200 and not names & SPARED


def test_trunks_whose_held_out_labels_differ_are_equal(table: Table, targets: Targets, tmp_path: Path) -> None:
    hidden = np.isin(table.names, sorted(SPARED))
    wild = np.where(hidden[:, None], np.float32(1e6), table.labels)
    other = Table(ELEMENTS, table.features, table.numbers, table.shares, wild, table.splits, table.names)
    weights = []
    for place, found in enumerate((table, other)):
        trunk = Trunk(found, SPARED, tmp_path / str(place), BUDGET, seed=0)
        trunk.mask()
        trunk.align(targets, "mean")
        trunk.teach()
        weights.append(weights_of(tmp_path / str(place) / "taught.safetensors"))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_trunk_goes_on_where_it_was_killed(table: Table, targets: Targets, tmp_path: Path) -> None:
    whole = Trunk(table, SPARED, tmp_path / "whole", BUDGET, seed=0)
    whole.mask()
    whole.align(targets, "ground")
    Trunk(table, SPARED, tmp_path / "parts", BUDGET, seed=0).mask()
    again = Trunk(table, SPARED, tmp_path / "parts", BUDGET, seed=0)
    again.mask()  # is done, and only read
    again.align(targets, "ground")
    found, wanted = again.network.state_dict(), whole.network.state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_alignment_brings_the_student_close_to_the_teacher(table: Table, targets: Targets) -> None:
    torch.manual_seed(0)
    aims = torch.from_numpy(targets.rows(table.names, "ground"))
    student = Student(new_network(table, len(TASKS)), 3)
    objective = Aligning(student, aims, Hiding(rows=0.0), contrast_weight=0.5, guess_weight=0.0)
    rows = np.flatnonzero(np.isfinite(aims[:, 0].numpy()))
    unit = measure_scaling(table, rows)
    batches = Batches(table, unit, rows, 128, (0,))
    optimizer = torch.optim.AdamW(student.parameters(), 1e-3)
    losses = []
    for step in range(12):
        loss = objective(batches[step], torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-2:]) < 0.8 * np.mean(losses[:2])


def test_a_student_does_not_care_for_the_order_of_elements(table: Table) -> None:
    student = Student(new_network(table, len(TASKS)), 3).eval()
    numbers, shares = torch.tensor([[1, 3, 5]]), torch.tensor([[0.2, 0.3, 0.5]])
    turned = student(numbers.flip(1), shares.flip(1))
    torch.testing.assert_close(student(numbers, shares), turned)
    assert turned.norm().item() == pytest.approx(1.0, abs=1e-5)


def test_stable_compositions_come_more_often(table: Table) -> None:
    labels = np.full((3, len(TASKS)), np.nan, dtype=np.float32)
    labels[:, TASKS.index("decomposition_energy")] = [-0.1, 0.05, 0.7]
    some = Table(
        ELEMENTS, table.features, table.numbers[:3], table.shares[:3], labels, table.splits[:3], table.names[:3]
    )
    assert stability_weights(some, np.arange(3)).tolist() == [3, 2, 1]


def test_every_task_has_one_trunk_that_has_seen_none_of_its_test(tmp_path: Path) -> None:
    assert sorted(task for tasks in SCOPES.values() for task in tasks) == sorted(SOURCES)
    write(tmp_path, "matbench_mp_gap", composition=["Na1 Cl1", "K1 Cl1", "Fe2 O3"], target=[1.0] * 3, fold=[0, 1, 0])
    write(tmp_path, "matbench_mp_is_metal", composition=["K2 Cl2", "Fe1 O1"], target=[True, False], fold=[0, 4])
    spared = held_out(tmp_path, scope_of("mp_gap"))
    assert spared == {name_of(formula) for formula in ("ClNa", "O3Fe2", "KCl")}
    assert examined(tmp_path, SOURCES["mp_gap"]) < spared


def write(folder: Path, name: str, **columns: list[object]) -> None:
    pq.write_table(pa.table(columns), folder / f"{name}.parquet")


def test_the_product_is_trained_from_what_prepare_leaves(table: Table, tmp_path: Path) -> None:
    table.save(tmp_path / TABLE)
    rng = np.random.default_rng(0)
    arrays = {
        "names": np.array([f"mp-{row}" for row in range(40)]), "compositions": table.names[:40],
        "groups": rng.integers(1, 231, 40), "scalars": rng.normal(size=(40, 6)).astype(np.float32) ** 2,
        "features": rng.normal(size=(40, 422)).astype(np.float32), "counts": np.ones(40, dtype=np.int16),
        "numbers": np.full(40, 11), "letters": np.ones(40, dtype=np.int8), "shares": np.ones(40, np.float32),
        "atoms": np.zeros((40, 64), np.float16),
    }  # fmt: skip
    np.savez(shard_path(tmp_path, 0), **arrays)
    train(tmp_path, "cpu", minutes=0.001, resume=False, seed=0)  # a step or so of every stage
    members = sorted(tmp_path.glob("member-*.safetensors"))
    assert len(members) == MEMBERS
    config = new_network(table, len(TASKS)).config
    ensemble = assemble(measure_scaling(table, np.arange(300)), members, config).eval()
    values, stds = ensemble(torch.tensor([[1, 3]]), torch.tensor([[0.5, 0.5]]))
    assert bool(values.isfinite().all()) and bool((stds > 0).all())
    written = [path.stat().st_mtime_ns for path in members]
    train(tmp_path, "cpu", minutes=0.001, resume=True, seed=0)  # nothing is left to do
    assert [path.stat().st_mtime_ns for path in members] == written
