"""The network against an independent, plain writing of the same equations, and against itself with a cache."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from workers.generator.crystallm.network import CrystaLLM, CrystaLLMConfig
from workers.generator.crystallm.tokens import VOCABULARY, encode
from workers.generator.sampler import Draw, Head, Ints, Mask, Room, Sample, Sampler

TEXT = "data_Na4Cl4\nloop_\n_atom_type_symbol\n_symmetry_space_group_name_H-M Fm-3m\n_cell_length_a 5.6402\n"
NEW = 24


def model(bias: bool) -> CrystaLLM:
    torch.manual_seed(0)
    network = CrystaLLM(CrystaLLMConfig(width=24, layers=2, heads=3, context=64, bias=bias)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network


def normed(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    x = (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, unbiased=False, keepdim=True) + 1e-5)
    return x * weights[f"{name}.weight"] + weights.get(f"{name}.bias", 0)


def mapped(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0)


def plain(weights: dict[str, Tensor], config: CrystaLLMConfig, tokens: list[int]) -> Tensor:
    """GPT-2's equations one position and one head at a time (Radford et al. 2019): logits (T, V)."""
    x = weights["token.weight"][tokens] + weights["position.weight"][: len(tokens)]
    size = config.width // config.heads
    for layer in range(config.layers):
        at = f"blocks.{layer}"
        q, k, v = mapped(normed(x, weights, f"{at}.norm_in"), weights, f"{at}.qkv").split(config.width, dim=-1)
        found = torch.zeros_like(x)
        for head in range(config.heads):
            part = slice(head * size, (head + 1) * size)
            for place in range(len(tokens)):
                scores = (k[: place + 1, part] @ q[place, part]) / math.sqrt(size)
                found[place, part] = torch.softmax(scores, 0) @ v[: place + 1, part]
        x = x + mapped(found, weights, f"{at}.out")
        y = mapped(normed(x, weights, f"{at}.norm_mid"), weights, f"{at}.up")
        y = 0.5 * y * (1 + torch.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))
        x = x + mapped(y, weights, f"{at}.down")
    return normed(x, weights, "norm") @ weights["token.weight"].T


@pytest.mark.parametrize("bias", [False, True])
def test_logits_are_those_of_the_plain_equations(bias: bool) -> None:
    network, tokens = model(bias), encode(TEXT)
    with torch.inference_mode():
        found = network(torch.tensor([tokens]))[0]
        expected = plain(dict(network.state_dict()), network.config, tokens)
    assert found.shape == (len(tokens), VOCABULARY)
    assert (found - expected).abs().max() < 1e-4


def test_a_token_does_not_see_those_after_it() -> None:
    network, tokens = model(False), torch.tensor([encode(TEXT)])
    changed = tokens.clone()
    changed[0, 10:] = 5
    with torch.inference_mode():
        assert torch.equal(network(tokens)[0, :10], network(changed)[0, :10])


class Scribble:
    """A draft without a grammar: any token may follow."""

    steps = None  # how many there will be shows at the end

    def __init__(self, opening: list[int]) -> None:
        self.opening, self.tokens = opening, list(opening)

    @property
    def done(self) -> bool:
        return len(self.tokens) == len(self.opening) + NEW

    @property
    def room(self) -> Room:
        return 32, 32 + NEW + 1

    def prompt(self, conditioned: bool) -> list[list[int]]:
        return [[token, place] for place, token in enumerate(self.opening[:-1])]

    def row(self) -> list[int]:
        return [self.tokens[-1], len(self.tokens) - 1]

    def head(self) -> Head:
        return 0, VOCABULARY

    def allowed(self) -> Mask | None:
        return None

    def accepts(self, candidates: Ints) -> Mask:
        return np.ones(len(candidates), dtype=np.bool_)

    def reach(self) -> int | None:
        return None

    def fill(self, value: int, offset: float) -> None:
        self.tokens.append(value)


def test_what_is_written_with_a_cache_is_as_likely_without() -> None:
    network, opening = model(False), encode(TEXT)[:20]
    samples = [Sample(lambda: Scribble(opening), Draw(seed, 1.0)) for seed in range(3)]
    Sampler(network, 16).run(samples)
    for sample in samples:
        draft = sample.draft
        assert isinstance(draft, Scribble)
        with torch.inference_mode():
            logs = torch.log_softmax(network(torch.tensor([draft.tokens]))[0].double(), dim=-1)
        drawn = draft.tokens[len(opening) :]
        expected = sum(float(logs[len(opening) - 1 + i, token]) for i, token in enumerate(drawn))
        assert sample.log_likelihood == pytest.approx(expected, abs=1e-3)
