"""From published structures to a checkpoint that writes crystals."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from workers.cards import load_checkpoint
from workers.errors import UserError
from workers.generator.crystallm import training
from workers.generator.crystallm.dataset import prepare
from workers.generator.crystallm.generator import CrystaLLMGenerator
from workers.generator.crystallm.network import CrystaLLM, CrystaLLMConfig
from workers.generator.crystallm.texts import NOTHING, Texts, load, tells
from workers.generator.crystallm.tokens import decode
from workers.generator.crystallm.training import Recipe, losses
from workers.generator.losses import per_token
from workers.generator.requests import CrystalRequest
from workers.generator.run import Run

HALITES = [(11, 17, 5.64), (19, 17, 6.29), (12, 8, 4.21), (20, 8, 4.81), (3, 9, 4.03), (37, 35, 6.89)]


def row(split: str, numbers: tuple[int, int], edge: float, known: bool = True) -> dict[str, object]:
    a = edge / np.sqrt(2)
    points = [0.0, 0.0, 0.0, 0.5, 0.5, 0.5] if known else None
    return {"split": split, "lattice": [a, a, a, 60.0, 60.0, 60.0], "species": list(numbers), "frac_coords": points}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data, work = (tmp_path_factory.mktemp(name) for name in ("data", "work"))
    rows = [row("train", (one, other), edge) for one, other, edge in HALITES]
    rows += [row("train", (11, 9), 4.6, known=False), row("val", (3, 17), 5.14), row("test", (55, 9), 6.0)]
    rows.append(row("train", (11, 17), 0.4))  # no cell is so small
    pq.write_table(pa.Table.from_pylist(rows), data / "mp20.parquet")
    prepare(data, work, processes=1)
    return work


def test_only_what_may_be_learnt_from_is_prepared(prepared: Path) -> None:
    texts = load(prepared)
    assert (len(texts.members("train", 999)), len(texts.members("val", 999))) == (len(HALITES), 1)
    found = [decode(texts.tokens[i:j].tolist()) for i, j in zip(texts.starts[:-1], texts.starts[1:], strict=True)]
    assert all(text.startswith("data_") and text.endswith("1\n\n") for text in found)
    assert not any("Cs" in text for text in found)


def test_cells_are_counted_by_content_and_centring(prepared: Path) -> None:
    assert load(prepared).cells.tolist() == [[1, 1, 0, 0, 0, 0, 0, 0, 1, 4, len(HALITES)]]


def test_batches_hold_every_text_once_and_keep_to_their_budget(prepared: Path) -> None:
    texts = load(prepared)
    members = texts.members("train", 999)
    longest = int(np.diff(texts.starts).max())
    found = list(texts.batches(members, 2 * longest, np.random.default_rng(0)))
    assert sum(len(batch) for batch in found) == len(members)
    assert all(batch.numel() <= 2 * longest for batch in found)
    assert sorted(int((line != NOTHING).sum()) for batch in found for line in batch) == sorted(
        np.diff(texts.starts)[members]
    )


def small() -> CrystaLLM:
    torch.manual_seed(0)
    return CrystaLLM(CrystaLLMConfig(width=48, layers=2, heads=3, context=400))


def taught(work: Path, steps: int, run: Run[CrystaLLM] | None = None) -> Run[CrystaLLM]:
    texts = load(work)
    table = texts.padded(texts.members("train", 999))
    run = run or Run(work, small(), replace(Recipe(), warmup=10, peak_rate=4e-3, average=0.9), seed=0)
    for _ in range(steps):
        run.update(lambda: losses(run.model, table), 0.0)
    return run


def test_what_fills_a_row_up_is_not_learnt_from(prepared: Path) -> None:
    texts, model = load(prepared), small().eval()
    table = texts.padded(texts.members("train", 999)[:1])
    longer = torch.nn.functional.pad(table, (0, 20), value=NOTHING)
    with torch.inference_mode():
        one, other = (float(per_token(losses(model, tokens))) for tokens in (table, longer))
    assert one == pytest.approx(other, abs=1e-5)


def test_what_the_formula_says_is_not_learnt(prepared: Path) -> None:
    texts = load(prepared)
    table = texts.padded([0, 1])
    told = decode(table[0][tells(table)[0]].tolist())
    assert told.startswith("_symmetry_space_group_name_H-M Fm-3m\n_cell_length_a 5.64") and told.endswith(" 1\n\n")
    assert not any(word in told for word in ("data", "radius", "chemical", "volume", "x, y, z", "_label"))


def test_a_run_that_goes_on_is_the_run_that_was_not_interrupted(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.npz").write_bytes((prepared / "texts.npz").read_bytes())
    whole = taught(tmp_path, 4)
    half = taught(tmp_path, 2)
    half.save()
    again = Run(tmp_path, small(), half.recipe, seed=0)
    again.restore()
    rest = taught(tmp_path, 2, again)
    assert rest.progress == whole.progress
    for one, other in zip(whole.model.parameters(), rest.model.parameters(), strict=True):
        assert torch.equal(one, other)
    for name, value in whole.average.items():
        assert torch.equal(value, rest.average[name])


def test_a_taught_network_writes_what_it_was_taught(prepared: Path) -> None:
    run = taught(prepared, 90)
    texts = load(prepared)
    assert training.watch(run.averaged(), texts)["TOKEN"] < 1.0
    card = training.export(run, texts, "a command")
    found, arrays = load_checkpoint(prepared / training.CHECKPOINT)
    assert found == card and card.command == "a command" and str(len(HALITES)) in card.data
    (answer,) = CrystaLLMGenerator(replace(found, tile=16), arrays).generate(
        [CrystalRequest("KCl", 1, temperature=0.1)]
    )
    assert answer.crystal is not None
    assert sorted(answer.crystal.species) == ["Cl", "K"]
    assert answer.crystal.lattice[0] * np.sqrt(2) == pytest.approx(6.29, abs=1.0)


def test_training_by_the_clock_leaves_a_checkpoint_and_goes_on(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "texts.npz").write_bytes((prepared / "texts.npz").read_bytes())
    training.train(tmp_path, "cpu", 0.01, resume=False, seed=3)
    first = json.loads((tmp_path / "run.json").read_text())
    training.train(tmp_path, "cpu", 0.02, resume=True, seed=3)
    second = json.loads((tmp_path / "run.json").read_text())
    assert second["step"] > first["step"] > 0 and second["seconds"] > first["seconds"]
    assert load_checkpoint(tmp_path / training.CHECKPOINT)[0].kind == "crystallm-generator"
    assert "val" in capsys.readouterr().out


def test_an_unknown_device_is_one_line(prepared: Path) -> None:
    with pytest.raises(UserError) as error:
        training.train(prepared, "abacus", 0.01, resume=False, seed=0)
    assert "\n" not in str(error.value)


def test_nothing_prepared_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path)


def test_a_text_longer_than_asked_is_left_out() -> None:
    texts = Texts(
        np.arange(5, dtype=np.uint16), np.array([0, 2, 5]), np.zeros(2, dtype=np.int8), np.zeros((0, 11), np.int32)
    )
    assert texts.members("train", 2).tolist() == [0]
