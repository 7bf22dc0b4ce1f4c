"""The heads' networks: what they learn, and that an ensemble of arrays is the networks it came from."""

import numpy as np
import pytest
import torch

from workers.judge_networks import Ensemble, Recipe, fit, loss, standardize, to_arrays

RECIPE = Recipe(width=32, epochs=60, batch=32, rate=5e-3, dropout=0.0)


def _lesson(rows: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.rand((rows, 3), generator=torch.Generator().manual_seed(1)) * 2 - 1
    return inputs, torch.stack([inputs.sum(dim=1), inputs[:, 0] * inputs[:, 1]], dim=1)


def _ensemble(networks: list[torch.nn.Sequential]) -> Ensemble:
    members = [to_arrays(network) for network in networks]
    plain = {"center": np.zeros(3), "spread": np.ones(3)}
    return Ensemble(plain | {key: np.stack([member[key] for member in members]) for key in members[0]}, "cpu")


def test_a_head_learns_what_can_be_learned() -> None:
    inputs, targets = _lesson()
    *_, network = fit(inputs, targets, RECIPE, seed=0)
    with torch.no_grad():
        gaps = (network(inputs)[:, :2] - targets).abs().mean()
    assert gaps < 0.2 * (targets - targets.median(dim=0).values).abs().mean()


def test_the_scale_tells_clear_targets_from_noisy_ones() -> None:
    inputs, targets = _lesson(1024)
    noise = torch.randn(1024, generator=torch.Generator().manual_seed(2))
    targets[:, 1] += torch.where(inputs[:, 0] > 0, noise, 0.0)
    *_, network = fit(inputs, targets, RECIPE, seed=0)
    _, stds = _ensemble([network])(inputs.numpy())
    noisy = inputs[:, 0].numpy() > 0.2
    assert stds[noisy, 1].mean() > 3 * stds[~noisy, 1].mean() and (stds > 0).all()


def test_unknown_targets_teach_nothing() -> None:
    answer = torch.tensor([[1.0, 2.0, 0.0, 0.0], [1.0, 2.0, 0.0, 0.0]], requires_grad=True)
    value = loss(answer, torch.tensor([[0.0, torch.nan], [3.0, torch.nan]]))
    value.backward()
    assert value.item() == pytest.approx(1.5) and answer.grad is not None
    assert (answer.grad[:, [1, 3]] == 0).all() and (answer.grad[:, 0] != 0).all()


def test_the_same_seed_teaches_the_same_head() -> None:
    inputs, targets = _lesson()
    short = Recipe(width=8, epochs=2, batch=32)
    first, second, other = (to_arrays(list(fit(inputs, targets, short, seed))[-1]) for seed in (3, 3, 4))
    assert all((first[key] == second[key]).all() for key in first)
    assert (first["weight0"] != other["weight0"]).any()


def test_an_ensemble_is_the_mean_of_its_members_and_doubts_where_they_differ() -> None:
    inputs, targets = _lesson()
    networks = [list(fit(inputs, targets, Recipe(width=8, epochs=1, batch=32), seed))[-1] for seed in (0, 1)]
    with torch.no_grad():
        each = np.stack([network(inputs)[:, :2].numpy() for network in networks])
    medians, stds = _ensemble(networks)(inputs.numpy())
    np.testing.assert_allclose(medians, each.mean(axis=0), atol=1e-5)
    assert (stds >= each.std(axis=0) - 1e-6).all()


def test_inputs_far_outside_are_clipped() -> None:
    rows = standardize(torch.tensor([[1e6, -1e6, 1.0]]), torch.zeros(3), torch.ones(3))
    assert rows.tolist() == [[6.0, -6.0, 1.0]]
