"""Checkpoints of Materium's own code: read without running anything, held exactly, refused in one line."""

import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from workers.cards import load_checkpoint
from workers.errors import CheckpointError
from workers.generator.materium.generator import MateriumGenerator, load_network
from workers.generator.materium.imported import import_checkpoint
from workers.generator.materium.tokens import CELL, COORDINATES, Role, condition_row, formula_rows, row
from workers.generator.requests import CrystalRequest

WIDTH, LAYERS, HEADS, BINS, HIDDEN = 32, 2, 4, 64, 256
STATES = {"Na": [0, 1], "Cl": [-1, 0], "O": [-2, 0], "Ti": [0, 2, 3, 4], "Es": [0, 3]}
CONDITIONS = ("space_group", "reduced_formula", "density", "band_gap", "bulk_modulus", "hhi", "mag_density")
RANGES = {
    "a": (2.0, 10.0),
    "b": (2.0, 12.5),
    "c": (2.0, 20.0),
    **dict.fromkeys(("alpha", "beta", "gamma"), (60.0, 120.0)),
}


def tokenizer() -> dict[str, Any]:
    return {
        "element_vocab": sorted(STATES),
        "lattice_stats": RANGES,
        "num_quant_bins": BINS,
        "sorting_order": "REVERSE_SPECIES",
        "sequence_order": "ATOMS_FIRST",
        "include_oxidation": True,
        "oxidation_mode": "guess",
        "allowed_oxidation_states": STATES,
        "fallback_to_zero_on_unseen": True,
    }


def species_count() -> int:
    return sum(len(states) for states in STATES.values())


def weights() -> dict[str, Tensor]:
    """Random weights under the names and in the shapes of the original."""
    torch.manual_seed(0)
    tokens = torch.randn(5 + species_count() + BINS, WIDTH) * 0.2
    found = {"tok_embeddings.weight": tokens, "output.weight": tokens, "norm.weight": 1 + torch.randn(WIDTH) * 0.1}
    found["type_embeddings.weight"] = torch.randn(len(CONDITIONS) + 1, WIDTH) * 0.2
    for i in range(LAYERS):
        for name in ("wq", "wk", "wv", "wo"):
            found[f"layers.{i}.attention.{name}.weight"] = torch.randn(WIDTH, WIDTH) * 0.2
        for name, shape in (("w1", (HIDDEN, WIDTH)), ("w2", (WIDTH, HIDDEN)), ("w3", (HIDDEN, WIDTH))):
            found[f"layers.{i}.feed_forward.{name}.weight"] = torch.randn(shape) * 0.1
        for name in ("attention_norm", "ffn_norm"):
            found[f"layers.{i}.{name}.weight"] = 1 + torch.randn(WIDTH) * 0.1
    for name in CONDITIONS:
        found[f"condition_mask_embeddings.{name}"] = torch.randn(1, 1, WIDTH)
        if name not in ("space_group", "reduced_formula"):
            found[f"cond_proj_layers.{name}.weight"] = torch.randn(WIDTH, 1) * 0.2
    found["cond_proj_layers.space_group.weight"] = torch.randn(230, WIDTH) * 0.2
    formula = "cond_proj_layers.reduced_formula"
    found[f"{formula}.composition_num_atoms.weight"] = torch.randn(21, WIDTH) * 0.2
    found[f"{formula}.atom_embedder.weight"] = tokens
    for place, shape in (("0", (2 * WIDTH, WIDTH)), ("2", (WIDTH, 2 * WIDTH))):
        found[f"{formula}.combined_emb.{place}.weight"] = torch.randn(shape) * 0.2
        found[f"{formula}.combined_emb.{place}.bias"] = torch.randn(shape[0]) * 0.2
    return found


def content() -> dict[str, Any]:
    sizes = {"dim": WIDTH, "n_layers": LAYERS, "n_heads": HEADS, "n_kv_heads": None, "dropout": 0.1, "norm_eps": 1e-5}
    sizes |= {"rope_mode": "STANDARD", "condition_config": {name: {"input_dim": 1} for name in CONDITIONS}}
    return {"state_dict": weights(), "model_config": sizes, "tokenizer": tokenizer(), "epoch": 3, "loss": 0.8}


def imported(folder: Path, change: Callable[[dict[str, Any]], object] = lambda found: None) -> MateriumGenerator:
    found = content()
    change(found)
    torch.save(found, folder / "model_3_0.800.pt")
    import_checkpoint(folder / "model_3_0.800.pt", folder / "ours", "materium-original")
    return MateriumGenerator(*load_checkpoint(folder / "ours"))


def reference(tokens: list[int], ahead: Tensor, kinds: list[int]) -> Tensor:
    """Logits of the architecture as published, written out: interleaved rotary positions, no cache, one sequence."""
    w = weights()
    x = torch.cat([ahead, w["tok_embeddings.weight"][tokens]])
    x = x + w["type_embeddings.weight"][kinds + [0] * len(tokens)]
    length, size = len(x), WIDTH // HEADS
    turn = torch.outer(torch.arange(length).float(), 10_000.0 ** (-torch.arange(0, size, 2) / size))

    def norm(x: Tensor, name: str) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * w[name]

    def turned(x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.view(length, HEADS, -1, 2)) * torch.polar(torch.ones_like(turn), turn)[:, None]
        return torch.view_as_real(pairs).flatten(2)

    for i in range(LAYERS):
        at, y = f"layers.{i}", norm(x, f"layers.{i}.attention_norm.weight")
        q, k, v = ((y @ w[f"{at}.attention.w{n}.weight"].T).view(length, HEADS, size) for n in "qkv")
        scores = torch.einsum("qhd,khd->hqk", turned(q), turned(k)) / math.sqrt(size)
        scores = scores.masked_fill(torch.ones(length, length, dtype=torch.bool).triu(1), -math.inf)
        found = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).reshape(length, WIDTH)
        x = x + found @ w[f"{at}.attention.wo.weight"].T
        y = norm(x, f"{at}.ffn_norm.weight")
        gate, passed = (y @ w[f"{at}.feed_forward.{n}.weight"].T for n in ("w1", "w3"))
        x = x + (F.silu(gate) * passed) @ w[f"{at}.feed_forward.w2.weight"].T
    return norm(x, "norm.weight") @ w["output.weight"].T


def sequence() -> tuple[list[int], list[Role]]:
    rng = np.random.default_rng(0)
    species, numbers = 5 + species_count() - 1, 5 + species_count()
    tokens, roles = [1, 4], [Role.START, Role.ATOMS]
    for atom in range(3):
        tokens += [species - atom, *(numbers + rng.integers(0, BINS, 3)).tolist()]
        roles += [Role.SPECIES, *COORDINATES]
    return [*tokens, 3, *(numbers + rng.integers(0, BINS, 6)).tolist()], [*roles, Role.LATTICE, *CELL]


@pytest.mark.parametrize("conditioned", [False, True])
def test_logits_are_those_of_the_original(tmp_path: Path, conditioned: bool) -> None:
    imported(tmp_path)
    _, network = load_network(*load_checkpoint(tmp_path / "ours"))
    vocabulary, w = network.vocabulary, weights()
    tokens, roles = sequence()
    ahead, kinds, prompt = torch.zeros(0, WIDTH), [], []
    if conditioned:
        pairs = torch.tensor([[22, 1], [8, 2]])
        formula = "cond_proj_layers.reduced_formula"
        mixed = w["tok_embeddings.weight"][pairs[:, 0]] + w[f"{formula}.composition_num_atoms.weight"][pairs[:, 1]]
        for place in ("0", "2"):
            names = (f"{formula}.combined_emb.{place}.{part}" for part in ("weight", "bias"))
            mixed = F.linear(mixed, *(w[name] for name in names))
            mixed = F.gelu(mixed) if place == "0" else mixed
        density = 4.2 * w["cond_proj_layers.density.weight"][:, 0]
        ahead = torch.stack([density, w["cond_proj_layers.space_group.weight"][136], *mixed])
        kinds = [3, 1, 2, 2]
        prompt = [condition_row(vocabulary, Role.DENSITY, 4.2, 0), condition_row(vocabulary, Role.GROUP, 136, 1)]
        prompt += formula_rows(vocabulary, [(22, 1), (8, 2)], 2)
    begin = len(prompt)
    rows = [*prompt, *(row(r, t, 0, begin + i) for i, (r, t) in enumerate(zip(roles, tokens, strict=True)))]
    with torch.no_grad():
        states, table = network(torch.tensor([rows]))
        found = F.linear(states[0, begin:], table[: vocabulary.size])
    expected = reference(tokens, ahead, kinds)[begin:]
    assert (found - expected).abs().max() < 1e-4


def test_an_imported_model_writes_exact_formulas_in_its_own_codec(tmp_path: Path) -> None:
    generator = imported(tmp_path)
    asked = [CrystalRequest("TiO2", seed, max_atoms=6, guidance=2.5, wanted=(("hhi", 2000.0),)) for seed in range(8)]
    found = [answer.crystal for answer in generator.generate(asked) if answer.crystal is not None]
    assert found and all(crystal.formula == "TiO2" for crystal in found)
    steps = (np.array(found[0].coords) * BINS) % 1
    assert np.allclose(steps, 0.5)


def without_bulk_modulus(found: dict[str, Any]) -> None:
    found["model_config"]["condition_config"].pop("bulk_modulus")
    found["state_dict"].pop("cond_proj_layers.bulk_modulus.weight")


def test_what_an_imported_model_does_not_know_is_refused(tmp_path: Path) -> None:
    generator = imported(tmp_path, without_bulk_modulus)
    asked = [
        CrystalRequest("TiO2", 1, space_group=230),
        CrystalRequest("TiO2", 1, wanted=(("bulk_modulus", 90.0),)),
        CrystalRequest("FeO", 1),
    ]
    reasons = [answer.flaw for answer in generator.generate(asked)]
    for reason, word in zip(reasons, ("230", "bulk_modulus", "Fe"), strict=True):
        assert reason is not None and word in reason


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("this must not run",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda found: found.update(extra=Hostile()), "not a file of tensors"),
        (lambda found: found.pop("tokenizer"), "tokenizer"),
        (lambda found: found.update(tokenizer=[1]), "dictionary"),
        (lambda found: found["state_dict"].pop("norm.weight"), "norm.weight"),
        (lambda found: found["state_dict"]["norm.weight"].fill_(math.nan), "not finite"),
        (lambda found: found["tokenizer"].update(num_quant_bins=65), "tokens"),
        (lambda found: found["tokenizer"].update(sequence_order="COORDS_FIRST"), "species first"),
        (lambda found: found["tokenizer"].update(sorting_order="BACKWARDS"), "BACKWARDS"),
        (lambda found: found["model_config"].update(rope_mode="BLOCKWISE"), "repeat"),
        (lambda found: found["model_config"].update(n_layers=3), "layers.2"),
        (lambda found: found["model_config"].update(n_kv_heads=2), "heads"),
        (lambda found: found["model_config"].update(condition_config={"colour": {}}), "colour"),
    ],
)
def test_broken_checkpoints_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    with pytest.raises(CheckpointError, match=reason) as caught:
        imported(tmp_path, change)
    assert "\n" not in str(caught.value)
    assert "this must not run" not in capsys.readouterr().out


@pytest.mark.parametrize("data", [b"", b"not a checkpoint", pickle.dumps({"state_dict": 1}), b"PK\x03\x04broken"])
def test_foreign_files_are_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "foreign.pt").write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        import_checkpoint(tmp_path / "foreign.pt", tmp_path / "ours", "x")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        import_checkpoint(tmp_path / "none.pt", tmp_path / "ours", "x")
