"""The network of the atom-by-atom grammar: positions, sizes, cached and whole reading, attention, training."""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from workers.cards import load_checkpoint
from workers.errors import UserError
from workers.generator.attention import causal, packs
from workers.generator.materium import training
from workers.generator.materium.batches import Reader
from workers.generator.materium.dataset import encoded, joined, species_table
from workers.generator.materium.generator import MateriumGenerator
from workers.generator.materium.losses import losses
from workers.generator.materium.network import SIZES, MateriumModel, NetworkConfig, quickened, turned
from workers.generator.materium.tables import load, save
from workers.generator.materium.tokens import Role, blank, own_vocabulary
from workers.generator.materium.training import Recipe
from workers.generator.requests import CrystalRequest
from workers.generator.run import Run

VOCABULARY = own_vocabulary(species_table())
SMALL = NetworkConfig(width=32, layers=2, heads=2, dropout=0.1)
SALT = {"lattice": [3.99, 3.99, 3.99, 60.0, 60.0, 60.0], "species": [11, 17], "formula": "NaCl", "split": "train"}
SALT |= {"frac_coords": [0.5, 0.5, 0.5, 0.0, 0.0, 0.0], "density": 2.1, "spacegroup_number": 225, "band_gap": 5.0}
SALT |= {"mag_density": 0.0, "bulk_modulus": None}


def prepared(work: Path) -> Path:
    others = [{**SALT, "species": [3, 9], "formula": "LiF", "lattice": [2.87, 2.87, 2.87, 60, 60, 60]}]
    others += [{**SALT, "species": [19, 35], "formula": "KBr", "split": "val"}]
    save(work, joined([encoded(item) for item in (SALT, *others)]))
    return work


def model(config: NetworkConfig = SMALL) -> MateriumModel:
    torch.manual_seed(0)
    return MateriumModel(config, VOCABULARY).eval()


def rows(length: int, begin: int = 0) -> torch.Tensor:
    table = np.array([blank(VOCABULARY)] * length)
    table[:, 0] = Role.X
    table[:, 1] = VOCABULARY.starts[Role.X] + np.arange(length) * 7 % 960
    table[:, 5] = begin + np.arange(length)
    return torch.from_numpy(table)[None]


def test_only_distances_between_positions_matter() -> None:
    with torch.no_grad():
        one, _ = model()(rows(12))
        other, _ = model()(rows(12, begin=31))
    assert torch.allclose(one, other, atol=1e-5)


def test_turning_keeps_lengths_and_adds_up() -> None:
    x, angle = torch.randn(1, 1, 5, 8), torch.rand(1, 1, 5, 4)
    turn = torch.cat([angle.cos(), angle.sin()], dim=-1)
    once = turned(x, turn)
    assert torch.allclose(once.norm(dim=-1), x.norm(dim=-1), atol=1e-6)
    double = torch.cat([(2 * angle).cos(), (2 * angle).sin()], dim=-1)
    assert torch.allclose(turned(once, turn), turned(x, double), atol=1e-6)


def test_later_rows_change_nothing_earlier() -> None:
    table = rows(10)
    changed = table.clone()
    changed[0, 7:, 1] += 5
    with torch.no_grad():
        one, other = model()(table)[0], model()(changed)[0]
    assert torch.equal(one[:, :7], other[:, :7]) and not torch.equal(one[:, 7:], other[:, 7:])


@pytest.mark.parametrize(("size", "millions"), [("small", 2.7), ("base", 12), ("paper", 43.5)])
def test_sizes(size: str, millions: float) -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in MateriumModel(SIZES[size], VOCABULARY).parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.1)


def test_halves_change_little() -> None:
    with torch.no_grad():
        exact, _ = model()(rows(12))
        quick, _ = quickened(model())(rows(12))
    assert quick.dtype == torch.float32
    assert (exact - quick).abs().max() < 0.05


@pytest.mark.parametrize("length", [5, 300])
def test_attention_spelt_out_is_attention(length: int) -> None:
    q, k, v = torch.randn(3, 2, 2, length, 8)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.allclose(causal(q, k, v), expected, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available() or find_spec("flash_attn") is None, reason="flash-attn and a GPU")
def test_packed_attention_is_attention() -> None:
    q, k, v = torch.randn(3, 4, 2, 33, 64, device="cuda", dtype=torch.bfloat16)
    lengths = torch.tensor([33, 20, 7, 1], device="cuda")
    assert packs(q)
    found = causal(q, k, v, lengths)
    expected = torch.nn.functional.scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=True)
    for row, length in enumerate(lengths.tolist()):
        assert torch.allclose(found[row, :, :length].float(), expected[row, :, :length], atol=2e-2)


def test_a_resumed_run_ends_as_one_that_was_not_interrupted(tmp_path: Path) -> None:
    reader = Reader(load(prepared(tmp_path)), VOCABULARY, "high")
    batch = next(reader.batches(np.array([0, 1, 0, 1]), 4096, np.random.default_rng(0)))

    def steps(run: Run[MateriumModel], count: int) -> None:
        run.model.train()
        for _ in range(count):
            run.update(lambda: losses(run.model, batch, 0.3), 0.1)

    def begun() -> Run[MateriumModel]:
        return Run(tmp_path, model(replace(SMALL, dropout=0.3)), Recipe(), 5)

    torch.manual_seed(1)
    whole = begun()
    torch.manual_seed(2)
    steps(whole, 6)
    first = begun()
    torch.manual_seed(2)
    steps(first, 3)
    first.save()
    torch.manual_seed(99)
    second = begun()
    second.restore()
    steps(second, 3)
    assert second.progress.step == 6
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True))
    assert all(torch.equal(whole.average[name], second.average[name]) for name in whole.average)


def test_training_writes_a_checkpoint_that_writes_crystals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "small", SMALL)
    work = prepared(tmp_path)
    training.train(work, "cpu", 0.02, False, 0)
    training.train(work, "cpu", 0.03, True, 0)
    progress = json.loads((work / "run.json").read_text())
    assert progress["seconds"] >= 0.03 * 60 and progress["epoch"] > 1
    card, arrays = load_checkpoint(work / "checkpoint")
    assert card.kind == "materium-generator" and "2 structures" in card.data
    (answer,) = MateriumGenerator(card, arrays).generate([CrystalRequest("NaCl", 1, temperature=0.3)])
    assert answer.crystal is None or answer.crystal.formula == "NaCl"


def test_the_order_of_atoms_is_kept_with_the_run_and_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SIZES, "small", SMALL)
    work = prepared(tmp_path)
    training.train(work, "cpu", 0.005, False, 0, order="random")
    training.train(work, "cpu", 0.006, True, 0)
    generator = MateriumGenerator(*load_checkpoint(work / "checkpoint"))
    assert generator.layout.order == "random" and "--order random" in generator.card.command
    with pytest.raises(UserError, match="begun with"):
        training.train(work, "cpu", 0.007, True, 0, order="low")


def test_loss_falls_on_what_is_repeated(tmp_path: Path) -> None:
    reader = Reader(load(prepared(tmp_path)), VOCABULARY, "high")
    run = Run(tmp_path, model(replace(SMALL, dropout=0.0)), replace(Recipe(), warmup=10), 0)
    batch = next(reader.batches(np.array([0, 1]), 4096, np.random.default_rng(0), steered=False))
    found = [run.update(lambda: losses(run.model, batch, 0.0), 0.0) for _ in range(80)]
    first, last = (sum(loss for loss, _ in parts.values()) for parts in (found[0], found[-1]))
    assert last < 0.2 * first
