"""`sluice models`: what is there, taken away and brought along."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from workers.cards import PRETRAINED, WEIGHTS, load_checkpoint, pretrained_cards
from workers.generator.crystallm.generator import CrystaLLMGenerator
from workers.models import load_model


def test_the_list_names_every_shipped_model(sluice) -> None:
    names = [card.name for card in pretrained_cards()]
    listed = sluice("models", "list")
    assert listed.status == 0 and all(name in listed.stdout for name in names)
    assert [card["name"] for card in json.loads(sluice("models", "list", "--json").stdout)] == names


@pytest.mark.parametrize(("name", "options"), [("symmetry", ("--out", "mine")), ("crystal-generator", ())])
def test_what_is_exported_is_the_same_model(sluice, tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    assert sluice("models", "export", name, *options).status == 0
    folder = tmp_path / (options[-1] if options else name)
    assert load_checkpoint(folder)[0] == load_checkpoint("crystal-generator")[0]
    assert (folder / WEIGHTS).read_bytes() == (PRETRAINED / "crystal-generator" / WEIGHTS).read_bytes()


def published(path: Path, **changes: object) -> Path:
    """A file as CrystaLLM's authors publish it, with numbers of no meaning."""
    width, vocabulary, context = 32, 371, 64
    shapes = {
        "wte": (vocabulary, width), "wpe": (context, width), "ln_f": (width,), "h.0.ln_1": (width,),
        "h.0.ln_2": (width,), "h.0.attn.c_attn": (3 * width, width), "h.0.attn.c_proj": (width, width),
        "h.0.mlp.c_fc": (4 * width, width), "h.0.mlp.c_proj": (width, 4 * width),
    }  # fmt: skip
    drawn = torch.Generator().manual_seed(3)
    weights = {f"_orig_mod.transformer.{n}.weight": torch.randn(shape, generator=drawn) for n, shape in shapes.items()}
    weights["_orig_mod.lm_head.weight"] = weights["_orig_mod.transformer.wte.weight"]
    sizes = {"n_layer": 1, "n_head": 2, "n_embd": width, "block_size": context, "vocab_size": vocabulary, "bias": False}
    content = {"model": weights, "model_args": sizes, "iter_num": 7, "best_val_loss": torch.tensor(0.3), "config": {}}
    torch.save({**content, **changes}, path)
    return path


def test_a_published_checkpoint_becomes_one_of_ours(sluice, tmp_path: Path) -> None:
    published(tmp_path / "ckpt.pt")
    done = sluice("models", "import", "ckpt.pt", "--name", "mine")
    assert done.status == 0 and "--generator mine" in done.stderr
    card, arrays = load_checkpoint(tmp_path / "mine")
    assert (card.name, card.kind) == ("mine", "crystallm-generator")
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert isinstance(load_model(str(tmp_path / "mine"), "cpu"), CrystaLLMGenerator)
    assert sluice("models", "export", "mine", "--out", "again").status == 0
    assert load_checkpoint(tmp_path / "again")[0] == card


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def not_torch(path: Path) -> None:
    path.write_text("hello")


def foreign(path: Path) -> None:
    torch.save({"state_dict": {"conv1.weight": torch.zeros(3)}}, path)


def half_of_materium(path: Path) -> None:
    torch.save({"state_dict": {"tok_embeddings.weight": torch.zeros(9, 4)}, "tokenizer": {}}, path)


def hostile(path: Path) -> None:
    """What would run code where it is unpickled."""
    torch.save({"model": {"transformer.wte.weight": torch.zeros(1)}, "model_args": Path("/")}, path)


def not_finite(path: Path) -> None:
    content = torch.load(path)
    content["model"]["_orig_mod.transformer.wpe.weight"][3, 4] = float("nan")
    torch.save(content, path)


def other_words(path: Path) -> None:
    content = torch.load(path)
    torch.save({**content, "model_args": {**content["model_args"], "vocab_size": 50304}}, path)


@pytest.mark.parametrize("spoil", [cut_short, not_torch, foreign, half_of_materium, hostile, not_finite, other_words])
def test_what_cannot_be_imported_is_told_in_one_line_and_leaves_nothing(
    sluice, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(published(tmp_path / "ckpt.pt"))
    done = sluice("models", "import", "ckpt.pt", "--name", "mine")
    assert (done.status, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "ckpt.pt" in done.stderr and not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("import", "nowhere.pt", "--name", "mine"), ["nowhere.pt", "does not exist"]),
        (("import", "taken"), ["--name"]),
        (("import", "taken", "--name", "crystallm"), ["crystallm", "shipped"]),
        (("import", "taken", "--name", "mine", "--out", "."), ["--out .", "not empty"]),
        (("export", "nowhere"), ["nowhere", "not found"]),
        (("export", "crystal-generator", "--out", "taken"), ["taken", "folder"]),
        (("export", "crystal-generator", "--out", "."), ["--out .", "not empty"]),
    ],
)
def test_a_mistake_is_one_line(sluice, tmp_path: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    (tmp_path / "taken").write_text("a file")
    done = sluice("models", *arguments)
    assert (done.status, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert all(word in done.stderr for word in words), done.stderr
