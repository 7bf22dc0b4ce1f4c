"""Published checkpoints: nanoGPT's dictionary read by our names, and everything else refused in one line."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from workers.cards import load_checkpoint
from workers.errors import CheckpointError
from workers.generator.crystallm.generator import CrystaLLMGenerator
from workers.generator.crystallm.imported import import_checkpoint, read
from workers.generator.crystallm.tokens import VOCABULARY

ARGUMENTS = {
    "n_layer": 2,
    "n_head": 2,
    "n_embd": 16,
    "block_size": 96,
    "bias": False,
    "vocab_size": VOCABULARY,
    "dropout": 0.1,
}
Content = dict[str, object]


def weights(bias: bool = False, prefix: str = "") -> dict[str, Tensor]:
    """A state dict of nanoGPT's names."""
    width = 16
    shapes = {
        "transformer.wte.weight": (VOCABULARY, width),
        "transformer.wpe.weight": (96, width),
        "transformer.ln_f.weight": (width,),
    }
    for layer in range(2):
        at = f"transformer.h.{layer}"
        shapes |= {
            f"{at}.ln_1.weight": (width,),
            f"{at}.attn.c_attn.weight": (3 * width, width),
            f"{at}.attn.c_proj.weight": (width, width),
            f"{at}.ln_2.weight": (width,),
            f"{at}.mlp.c_fc.weight": (4 * width, width),
            f"{at}.mlp.c_proj.weight": (width, 4 * width),
        }
    if bias:
        shapes |= {
            name.replace(".weight", ".bias"): shape[:1] for name, shape in shapes.items() if ".w" not in name[:14]
        }
    draw = torch.Generator().manual_seed(2)
    found = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    found["lm_head.weight"] = found["transformer.wte.weight"]
    return {prefix + name: value for name, value in found.items()}


def content(**changes: object) -> Content:
    return {
        "model": weights(),
        "optimizer": {"state": {}, "param_groups": []},
        "model_args": ARGUMENTS,
        "iter_num": 100,
        "best_val_loss": torch.tensor(0.3),
        "config": {"out_dir": "out"},
        **changes,
    }


def saved(folder: Path, found: object) -> Path:
    torch.save(found, folder / "ckpt.pt")
    return folder / "ckpt.pt"


@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
@pytest.mark.parametrize("bias", [False, True])
def test_weights_come_by_our_names(tmp_path: Path, prefix: str, bias: bool) -> None:
    given = weights(bias, prefix)
    config, arrays = read(saved(tmp_path, content(model=given, model_args=ARGUMENTS | {"bias": bias})))
    assert (config.width, config.layers, config.heads, config.context, config.bias) == (16, 2, 2, 96, bias)
    pairs = {
        "token.weight": "transformer.wte.weight",
        "blocks.1.qkv.weight": "transformer.h.1.attn.c_attn.weight",
        "blocks.0.out.weight": "transformer.h.0.attn.c_proj.weight",
        "blocks.0.down.weight": "transformer.h.0.mlp.c_proj.weight",
        "norm.weight": "transformer.ln_f.weight",
    }
    for ours, theirs in pairs.items():
        assert np.array_equal(arrays[ours], given[prefix + theirs].numpy())
    assert sum(array.size for array in arrays.values()) == sum(
        value.numel() for name, value in given.items() if "lm_head" not in name
    )


def test_half_precision_and_old_masks_are_taken(tmp_path: Path) -> None:
    given = {name: value.bfloat16() for name, value in weights().items()}
    given["transformer.h.0.attn.bias"] = torch.ones(1, 1, 96, 96)
    _, arrays = read(saved(tmp_path, content(model=given)))
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}


def test_an_imported_checkpoint_is_one_of_ours(tmp_path: Path) -> None:
    card = import_checkpoint(saved(tmp_path, content()), tmp_path / "ours", "published")
    found, arrays = load_checkpoint(tmp_path / "ours")
    assert found == card and card.kind == "crystallm-generator" and card.name == "published"
    assert CrystaLLMGenerator(found, arrays).context == 96


class Hostile:
    """Would make a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_a_checkpoint_that_carries_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path = saved(tmp_path, content(config=Hostile(tmp_path / "touched")))
    with pytest.raises(CheckpointError, match="not a file of plain weights"):
        read(path)
    assert not (tmp_path / "touched").exists()


def without(name: str) -> dict[str, Tensor]:
    return {key: value for key, value in weights().items() if key != name}


def changed(name: str, value: Tensor) -> dict[str, Tensor]:
    return weights() | {name: value}


REFUSED: dict[str, object] = {
    "holds a list": [1, 2],
    "model_args": {"model": weights()},
    "vocabulary of 50304": content(model_args=ARGUMENTS | {"vocab_size": 50304}),
    "vocabulary of None": content(model_args={}),
    "layers 0": content(model_args=ARGUMENTS | {"n_layer": 0}),
    "layers 60000": content(model_args=ARGUMENTS | {"n_layer": 60_000}),
    "layers '2'": content(model_args=ARGUMENTS | {"n_layer": "2"}),
    "context 1000000000": content(model_args=ARGUMENTS | {"block_size": 10**9}),
    "a multiple": content(model_args=ARGUMENTS | {"n_head": 3}),
    "no table of weights": content(model=[torch.zeros(2)]),
    "norm.weight is missing": content(model=without("transformer.ln_f.weight")),
    "is nothing|nothing is expected": content(model=changed("transformer.extra.weight", torch.zeros(2))),
    "position.weight is (95, 16)": content(model=changed("transformer.wpe.weight", torch.zeros(95, 16))),
    "no table of weights|whole numbers": content(model=changed("transformer.ln_f.weight", torch.ones(16).int())),
    "no table of weights|sparse": content(model=changed("transformer.ln_f.weight", torch.ones(16).to_sparse())),
    "norm.weight is (100000, 100000)": content(
        model=changed("transformer.ln_f.weight", torch.ones(1).half().expand(100_000, 100_000))
    ),
    "not finite|infinite": content(
        model=changed("transformer.ln_f.weight", torch.full((16,), 1e300, dtype=torch.float64))
    ),
    "not finite": content(model=changed("transformer.ln_f.weight", torch.full((16,), torch.nan))),
    "not finite|all": content(model={name: value * torch.nan for name, value in weights().items()}),
    "ties them": content(model=changed("lm_head.weight", torch.zeros(VOCABULARY, 16))),
    "ties them|other numbers": content(model=changed("lm_head.weight", torch.zeros(VOCABULARY, 16).half())),
    "ties them|other shape": content(model=changed("lm_head.weight", torch.zeros(2))),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_foreign_checkpoint_is_refused_in_one_line(tmp_path: Path, reason: str) -> None:
    with pytest.raises(CheckpointError) as error:
        read(saved(tmp_path, REFUSED[reason]))
    assert "\n" not in str(error.value)
    assert any(part in str(error.value) for part in reason.split("|"))


def test_a_broken_file_is_refused_in_one_line(tmp_path: Path) -> None:
    whole = saved(tmp_path, content()).read_bytes()
    for bad in (b"", b"hello", whole[:1000], whole[:-200], pickle.dumps({"model": 1}), bytes(len(whole))):
        (tmp_path / "bad.pt").write_bytes(bad)
        with pytest.raises(CheckpointError) as error:
            read(tmp_path / "bad.pt")
        assert "\n" not in str(error.value)


def test_a_missing_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        read(tmp_path / "ckpt.pt")
    with pytest.raises(CheckpointError):
        read(tmp_path)
