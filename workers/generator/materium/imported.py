"""Checkpoints that Materium's own code wrote, as checkpoints of this generator: weights as they are, codec and all.

Only tensors, texts, numbers, lists and dictionaries are read, and the names of two records; nothing is executed.
"""

import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workers.cards import Card, save_checkpoint
from workers.errors import CheckpointError
from workers.generator.corpus import covalent_radii
from workers.generator.materium.network import SMALLEST, MateriumModel, NetworkConfig
from workers.generator.materium.tokens import ELEMENTS, SPECIES_AT, Role, shared_vocabulary
from workers.symbols import SYMBOLS

TILE = 64
MOST_ATOMS = 20  # of the crystals that Materium learns from
ORDERS = {
    "SPECIES": "low",
    "REVERSE_SPECIES": "high",
    "XYZORDER": "xyz",
    "RANDOM": "random",
    "ELECTRON_NEG_DOWN": "random",
}
CONDITIONS = {
    "density": Role.DENSITY,
    "space_group": Role.GROUP,
    "band_gap": Role.BAND_GAP,
    "hhi": Role.HHI,
    "bulk_modulus": Role.BULK_MODULUS,
    "mag_density": Role.MAGNETIZATION_DENSITY,
    "reduced_formula": Role.ELEMENT,
}
PARTS = ("attention_norm", "ffn_norm", *(f"attention.w{x}" for x in "qkvo"), *(f"feed_forward.w{n}" for n in (1, 2, 3)))
FORMULA = "cond_proj_layers.reduced_formula"

Json = Mapping[str, Any]
Weights = Mapping[str, Tensor]


class _Record:
    """What the fields of one of Materium's configuration records become; its class is never looked up."""


def _mode(name: str) -> str:
    """What the positions' mode becomes: its name."""
    return name


RECORDS = (
    (_Record, "materium.model.ModelArgs"),
    (_Record, "materium.model.ConditionConfig"),
    (_mode, "materium.model.RopeMode"),
)


def import_checkpoint(file: Path, folder: Path, name: str) -> Card:
    """Write one of Materium's checkpoints to a folder as one of ours; raises CheckpointError."""
    found = _read(file)
    try:
        weights, sizes, tokens = (_mapping(found[key]) for key in ("state_dict", "model_config", "tokenizer"))
        species = species_of(tokens)
        _check(weights, sizes, tokens, species)
        vocabulary = shared_vocabulary(species, int(tokens["num_quant_bins"]), tokens["lattice_stats"])
        config = NetworkConfig(
            int(sizes["dim"]),
            int(sizes["n_layers"]),
            int(sizes["n_heads"]),
            float(sizes["dropout"]),
            len(weights["layers.0.feed_forward.w1.weight"]),
        )
        model = MateriumModel(config, vocabulary)
        with torch.no_grad():
            _fill(model, weights, list(_mapping(sizes["condition_config"] or {})))
    except KeyError as exc:
        raise CheckpointError(file, f"no {exc} in it; a checkpoint of Materium is expected") from exc
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as exc:
        raise CheckpointError(file, f"not as Materium writes it ({str(exc).splitlines()[0]})") from exc
    arrays = {key: value.detach().numpy() for key, value in model.named_parameters()}
    arrays |= {"species": species, "radii": covalent_radii(ELEMENTS)}
    return save_checkpoint(
        folder,
        arrays,
        name=name,
        kind="materium-generator",
        config={"network": asdict(config), "layout": _layout(weights, sizes, tokens)},
        tile=TILE,
        data="as its authors state",
        licence="as its authors state; Materium's code is CC BY-NC-SA 4.0",
        notes=f"imported from {file.name}",
    )


def _read(file: Path) -> Json:
    try:
        with torch.serialization.safe_globals(list(RECORDS)), warnings.catch_warnings(action="ignore"):
            found = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as exc:
        raise CheckpointError(file, f"cannot be read: {exc.strerror}") from exc
    except Exception as exc:  # a broken or hostile file may raise anything
        reason = "not a file of tensors, texts, numbers, lists and dictionaries; a checkpoint of Materium is expected"
        raise CheckpointError(file, reason) from exc
    if not isinstance(found, dict):
        raise CheckpointError(file, f"holds a {type(found).__name__}; a checkpoint of Materium is expected")
    return found


def _mapping(found: object) -> Json:
    fields = vars(found) if isinstance(found, _Record) else found
    if not isinstance(fields, Mapping):
        raise TypeError(f"a {type(found).__name__} where a dictionary is expected")
    return fields


def species_of(tokens: Json) -> np.ndarray:
    """Atomic number and oxidation state of each species token, in their order: (S, 2)."""
    symbols = sorted(tokens["element_vocab"])
    if not tokens.get("include_oxidation", True):
        return np.array([(SYMBOLS.index(symbol) + 1, 0) for symbol in symbols], dtype=np.int8)
    allowed = tokens["allowed_oxidation_states"]
    rows = [(SYMBOLS.index(symbol) + 1, int(state)) for symbol in symbols for state in {*allowed[symbol], 0}]
    return np.array(sorted(rows), dtype=np.int8)


def _check(weights: Weights, sizes: Json, tokens: Json, species: np.ndarray) -> None:
    """Raises ValueError for what this network cannot hold exactly, KeyError for what is missing."""
    for name, weight in weights.items():
        if not isinstance(weight, Tensor) or not torch.isfinite(weight).all():
            raise ValueError(f"{name} has numbers that are not finite")
    expected = SPECIES_AT + len(species) + int(tokens["num_quant_bins"])
    if len(weights["tok_embeddings.weight"]) != expected:
        raise ValueError(f"{len(weights['tok_embeddings.weight'])} tokens, its tokenizer has {expected}")
    if str(sizes.get("rope_mode", "STANDARD")).lower() != "standard":
        raise ValueError("positions that repeat within atoms; standard ones are expected")
    if str(tokens.get("sequence_order", "ATOMS_FIRST")) != "ATOMS_FIRST":
        raise ValueError("coordinates ahead of species; species first is expected")
    if sizes.get("n_kv_heads") not in (None, sizes["n_heads"]):
        raise ValueError("fewer heads for keys than for queries; as many are expected")
    if sizes.get("norm_eps", SMALLEST) != SMALLEST:
        raise ValueError(f"norm_eps {sizes['norm_eps']}; {SMALLEST} is expected")
    if tokens["sorting_order"] not in ORDERS:
        raise ValueError(f"order {tokens['sorting_order']}; {', '.join(ORDERS)} are known")


def _layout(weights: Weights, sizes: Json, tokens: Json) -> dict[str, object]:
    names = {role.name.lower() for name, role in CONDITIONS.items() if f"cond_proj_layers.{name}.weight" in weights}
    groups = weights.get("cond_proj_layers.space_group.weight", torch.zeros(1, 1))
    return {
        "order": ORDERS[tokens["sorting_order"]],
        "most_atoms": MOST_ATOMS,
        "groups": len(groups) - 1,
        "steered": sorted(names - {"group"}),
        "original": True,
        "bins": int(tokens["num_quant_bins"]),
        "ranges": {str(key).lower(): list(map(float, pair)) for key, pair in tokens["lattice_stats"].items()},
    }


def _fill(model: MateriumModel, weights: Weights, conditions: list[str]) -> None:
    """Put Materium's weights where ours are; what it has not is zero."""
    for parameter in model.parameters():
        parameter.zero_()
    tokens = weights["tok_embeddings.weight"]
    model.value.weight.copy_(tokens)
    _put(model.element.weight, tokens[:ELEMENTS])  # Materium looks elements up among its tokens
    model.norm.weight.copy_(weights["norm.weight"])
    kinds = weights["type_embeddings.weight"]
    model.role.weight[:] = kinds[0]
    for kind, name in enumerate(conditions, 1):
        if name not in CONDITIONS:
            raise ValueError(f"condition {name}; {', '.join(CONDITIONS)} are known")
        model.role.weight[CONDITIONS[name]] = kinds[kind]
        _condition(model, weights, name)
    for index, block in enumerate(model.layers()):
        own = {name: weights[f"layers.{index}.{name}.weight"] for name in PARTS}
        q, k = (_halved(own[f"attention.w{x}"], block.heads) for x in "qk")
        block.qkv.weight.copy_(torch.cat([q, k, own["attention.wv"]]))
        block.out.weight.copy_(own["attention.wo"])
        block.up.weight.copy_(torch.cat([own["feed_forward.w1"], own["feed_forward.w3"]]))
        block.down.weight.copy_(own["feed_forward.w2"])
        block.norm_in.weight.copy_(own["attention_norm"])
        block.norm_mid.weight.copy_(own["ffn_norm"])


def _condition(model: MateriumModel, weights: Weights, name: str) -> None:
    if name == "reduced_formula":
        _put(model.count.weight, weights[f"{FORMULA}.composition_num_atoms.weight"])
        for place in ("0", "2"):
            for part in ("weight", "bias"):
                target = model.formula.get_parameter(f"{place}.{part}")
                target.copy_(weights[f"{FORMULA}.combined_emb.{place}.{part}"])
        return
    weight = weights[f"cond_proj_layers.{name}.weight"]
    if name == "space_group":
        _put(model.group.weight, weight)
    else:
        model.scale.weight[CONDITIONS[name]] = weight[:, 0]


def _put(target: Tensor, rows: Tensor) -> None:
    """As many rows as both have; the others stay."""
    count = min(len(target), len(rows))
    target[:count] = rows[:count]


def _halved(weight: Tensor, heads: int) -> Tensor:
    """Rows so that the numbers turned against each other stand in a head's two halves, not side by side."""
    width = weight.shape[1]
    return weight.view(heads, -1, 2, width).transpose(1, 2).reshape(-1, width)
