"""Checkpoints that CrystaLLM's authors publish: nanoGPT's `ckpt.pt`, read without running any of it."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from operator import itemgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from workers.cards import Card, load_checkpoint, save_checkpoint
from workers.errors import CheckpointError
from workers.generator.crystallm.network import CrystaLLM, CrystaLLMConfig
from workers.generator.crystallm.tokens import VOCABULARY

KIND = "crystallm-generator"
EXPECTED = "a CrystaLLM checkpoint (ckpt.pt) is expected"
TILE = 32  # drafts written together
SMALL_TILE = 16  # the same for networks whose cache is large
LARGE = 512  # width beyond which it is
_SIZES = {"n_embd": "width", "n_layer": "layers", "n_head": "heads", "block_size": "context"}
_MOST = {"width": 1 << 14, "layers": 256, "heads": 256, "context": 1 << 16}
_COMPILED = "_orig_mod."  # what torch.compile puts before names
_NAMES = (
    (r"transformer\.(wte|wpe|ln_f)\.", {"wte": "token.", "wpe": "position.", "ln_f": "norm."}),
    (r"transformer\.(h)\.", {"h": "blocks."}),
    (r"(?<=\d\.)(ln_1|ln_2)\.", {"ln_1": "norm_in.", "ln_2": "norm_mid."}),
    (r"(?<=\d\.)attn\.(c_attn|c_proj)\.", {"c_attn": "qkv.", "c_proj": "out."}),
    (r"(?<=\d\.)mlp\.(c_fc|c_proj)\.", {"c_fc": "up.", "c_proj": "down."}),
)
_LEFT_OUT = re.compile(r"transformer\.h\.\d+\.attn\.bias")  # the mask of old versions
_HEAD, _TABLE = "lm_head.weight", "token.weight"  # the same, where the head is there

Arrays = dict[str, npt.NDArray[np.generic]]


def read(path: Path) -> tuple[CrystaLLMConfig, Arrays]:
    """Configuration and float32 weights of a published checkpoint, by our names; raises CheckpointError."""
    content = _loaded(path)
    config = _config(path, content.get("model_args"))
    given = _weights(path, content.get("model"))
    head = given.pop(_HEAD, None)
    _check_shapes(path, given, config)
    weights = {name: value.float() for name, value in given.items()}
    if broken := [name for name, value in weights.items() if not torch.isfinite(value).all()]:
        raise CheckpointError(path, f"{broken[0]} has numbers that are not finite")
    if head is not None and not _same(head, weights[_TABLE]):
        raise CheckpointError(path, f"{_HEAD} is not {_TABLE}; CrystaLLM ties them")
    return config, {name: value.numpy() for name, value in weights.items()}


def import_checkpoint(path: Path, folder: Path, name: str) -> Card:
    """Write a published checkpoint as one of ours; raises CheckpointError.

    What cells hold is counted by the shipped checkpoint, as the published ones do not say it.
    """
    config, arrays = read(path)
    return save_checkpoint(
        folder,
        arrays | _cells(),
        name=name,
        kind=KIND,
        config=asdict(config),
        tile=SMALL_TILE if config.width > LARGE else TILE,
        data="unknown here: see where the checkpoint was published",
        notes=f"imported from {path.name}",
    )


def _cells() -> Arrays:
    try:
        return {"cells": load_checkpoint(KIND)[1]["cells"]}
    except (CheckpointError, KeyError):
        return {}


def _loaded(path: Path) -> dict[str, object]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as exc:
        raise CheckpointError(path, f"cannot be read: {exc.strerror}") from exc
    except Exception as exc:  # a broken or hostile file may raise anything
        raise CheckpointError(path, f"not a file of plain weights; {EXPECTED}") from exc
    if not isinstance(content, dict):
        raise CheckpointError(path, f"holds a {type(content).__name__}; {EXPECTED}")
    return content


def _config(path: Path, given: object) -> CrystaLLMConfig:
    if not isinstance(given, dict):
        raise CheckpointError(path, f"has no model_args; {EXPECTED}")
    if given.get("vocab_size") != VOCABULARY:
        raise CheckpointError(path, f"a vocabulary of {given.get('vocab_size')}; CrystaLLM's has {VOCABULARY} tokens")
    sizes = {ours: given.get(theirs) for theirs, ours in _SIZES.items()}
    for name, size in sizes.items():
        if type(size) is not int or not 0 < size <= _MOST[name]:
            raise CheckpointError(path, f"{name} {size!r}; 1 to {_MOST[name]} are read")
    config = CrystaLLMConfig(**sizes, bias=bool(given.get("bias", True)))  # type: ignore[arg-type]
    if config.width % config.heads:
        raise CheckpointError(path, f"a width of {config.width} for {config.heads} heads; a multiple is expected")
    return config


def _weights(path: Path, given: object) -> dict[str, Tensor]:
    if not isinstance(given, dict) or not all(map(_is_plain, given.values())):
        raise CheckpointError(path, f"has no table of weights; {EXPECTED}")
    plain = {str(name).removeprefix(_COMPILED): value for name, value in given.items()}
    return {_ours(name): value for name, value in plain.items() if not _LEFT_OUT.fullmatch(name)}


def _is_plain(value: object) -> bool:
    """Whether a value is numbers in memory: neither sparse nor quantised nor without its data."""
    return isinstance(value, Tensor) and value.layout == torch.strided and value.is_floating_point() and value.is_cpu


def _ours(name: str) -> str:
    for pattern, names in _NAMES:
        name = re.sub(pattern, lambda found, names=names: names[found[1]], name)  # type: ignore[misc]
    return name


def _same(head: Tensor, table: Tensor) -> bool:
    return head.shape == table.shape and torch.equal(head.float(), table)


def _check_shapes(path: Path, weights: Mapping[str, Tensor], config: CrystaLLMConfig) -> None:
    wanted = {name: tuple(value.shape) for name, value in _skeleton(config).state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if wanted != found:
        name = min(wanted.items() ^ found.items(), key=itemgetter(0))[0]
        shapes = found.get(name, "missing"), wanted.get(name, "nothing")
        raise CheckpointError(path, f"{name} is {shapes[0]}; {shapes[1]} is expected")


def _skeleton(config: CrystaLLMConfig) -> CrystaLLM:
    """The network's shapes without its memory: a file's word is not worth allocating gigabytes."""
    with torch.device("meta"):
        return CrystaLLM(config)
