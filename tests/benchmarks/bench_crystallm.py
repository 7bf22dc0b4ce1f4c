"""Crystals per second of CrystaLLM on one thread: our sampler beside its authors' loop, the same weights.

That loop (nanoGPT's) writes one text at a time, all of it token by token after the cell's formula, and reads the whole
text again for every token; the ten likeliest compete. It is stopped at the length of an average text, for random
weights never come to an end. Ours counts what became a crystal, theirs every text. Seconds are the thread's own, so
that what runs beside it does not count.
"""

import time
from dataclasses import asdict

import numpy as np
import pytest
import torch

from workers.cards import Card, load_checkpoint
from workers.errors import CheckpointError
from workers.generator.crystallm.generator import CrystaLLMGenerator
from workers.generator.crystallm.network import CrystaLLM, CrystaLLMConfig
from workers.generator.crystallm.tokens import VOCABULARY, encode, numbers
from workers.generator.requests import CrystalRequest
from workers.seeds import derive_seed

SHIPPED = "crystallm-generator"
PUBLISHED = CrystaLLMConfig(width=512, layers=8, heads=8, context=1024, bias=True)  # the authors' small one
FORMULAS = ("CsPbI3", "Cu2ZnSnS4", "BaZrS3", "AgBiS2", "CuInSe2", "Sb2Se3", "NaBiS2", "SrHfS3", "Cs2AgBiBr6", "ZnSnP2")
OPENINGS = ("data_Cs4Pb4I12\n", "data_Ba4Zr4S12\n", "data_Na3Bi3S6\n", "data_Zn4Sn4P8\n")
LENGTH = 332  # tokens of an average text (Antunes et al., Nat. Commun. 15, 10570, 2024)
TOP = 10
TEMPERATURE = 0.7
LIKED = {".": 12.0, "5": 2.0, "6": 2.0, "7": 2.0, "Pnma_sg": 9.0, "R-3m_sg": 9.0, "C2/m_sg": 9.0, "P1_sg": 5.0}


def random(config: CrystaLLMConfig) -> CrystaLLMGenerator:
    """Random weights that like edges of one digit before the point and a few space groups: cells that can be filled."""
    torch.manual_seed(0)
    arrays = {name: array.numpy().copy() for name, array in CrystaLLM(config).state_dict().items()}
    arrays["norm.bias"][0] = 1.0
    arrays["token.weight"][:, 0] = 0.0
    for word, liking in LIKED.items():
        arrays["token.weight"][numbers()[word], 0] = liking
    return CrystaLLMGenerator(Card("random", SHIPPED, "", asdict(config), tile=64), arrays)


def shipped() -> CrystaLLMGenerator:
    """The checkpoint that is shipped, or random weights of its size."""
    try:
        return CrystaLLMGenerator(*load_checkpoint(SHIPPED))
    except CheckpointError:
        return random(CrystaLLMConfig(bias=True))


def ours(generator: CrystaLLMGenerator, each: int) -> tuple[float, float]:
    """Crystals per second of the thread's time, and the share of requests that became one."""
    asked = [
        CrystalRequest(f, derive_seed(0, "bench", f, i), temperature=TEMPERATURE) for f in FORMULAS for i in range(each)
    ]
    generator.generate(asked[::each])  # works out the common space groups
    began = time.process_time()
    met = sum(answer.crystal is not None for answer in generator.generate(asked))
    return met / (time.process_time() - began), met / len(asked)


@torch.inference_mode()
def as_released(network: CrystaLLM, opening: str) -> None:
    """One text, the whole of it read again for each token; the last state alone is scored, as in the original."""
    found = encode(opening)
    while len(found) < LENGTH:
        x, _ = network.embed(torch.tensor([list(zip(found, range(len(found)), strict=True))]), None)
        for block in network.layers():
            x = block(x, None)
        logits = network.scores(network.close(x[0, -1]), None, (0, VOCABULARY)) / TEMPERATURE
        best, tokens = logits.topk(TOP)
        found.append(int(tokens[torch.multinomial(torch.softmax(best, 0), 1)]))


def theirs(network: CrystaLLM, count: int) -> float:
    """Texts per second."""
    torch.manual_seed(0)
    began = time.process_time()
    for opening in OPENINGS[:count]:
        as_released(network, opening)
    return count / (time.process_time() - began)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("size", "each", "count"), [("shipped", 32, 4), ("published", 16, 1)])
def test_crystals_per_second_beside_the_released_loop(size: str, each: int, count: int) -> None:
    torch.set_num_threads(1)
    generator = shipped() if size == "shipped" else random(PUBLISHED)
    network = generator.sampler.network
    assert isinstance(network, CrystaLLM)
    rate, met = ours(generator, each)
    released = theirs(network, count)
    print(
        f"\nCrystaLLM, {size} size, {generator.card.name} weights, one thread: {rate:.1f} crystals/s "
        f"({met:.0%} of requests met), {rate / released:.0f} × as released ({released:.3f}/s)"
    )
    assert np.isfinite(rate) and met > 0
