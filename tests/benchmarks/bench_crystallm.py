"""Crystals per second of CrystaLLM on one thread: our sampler beside its authors' loop, the same weights.

The authors' loop (nanoGPT's) writes one text at a time, all of it token by token after the cell's formula, and reads
the whole text again for every token; the ten likeliest tokens compete, and two line ends are the end.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from workers.cards import load_checkpoint
from workers.errors import CrystalError
from workers.generator.crystallm.generator import CrystaLLMGenerator
from workers.generator.crystallm.network import CrystaLLM
from workers.generator.crystallm.parsing import read
from workers.generator.crystallm.tokens import decode, encode, numbers
from workers.generator.requests import CrystalRequest
from workers.seeds import derive_seed

FORMULAS = ("CsPbI3", "Cu2ZnSnS4", "BaZrS3", "AgBiS2", "CuInSe2", "Sb2Se3", "NaBiS2", "SrHfS3", "Cs2AgBiBr6", "ZnSnP2")
CELLS = ("Cs4Pb4I12", "Ba4Zr4S12", "Na3Bi3S6", "Zn4Sn4P8")
TOP = 10
TEMPERATURE = 0.7


def uncached(network: CrystaLLM, opening: Sequence[int], draw: torch.Generator) -> list[int]:
    """One text of the authors' loop, to its end or to that of the context."""
    found = list(opening)
    end = numbers()["\n"]
    while found[-2:] != [end, end] and len(found) < network.config.context:
        with torch.inference_mode():
            logits = network(torch.tensor([found]))[0, -1] / TEMPERATURE
        best, tokens = logits.topk(TOP)
        found.append(int(tokens[torch.multinomial(torch.softmax(best, 0), 1, generator=draw)]))
    return found


def is_crystal(tokens: Sequence[int]) -> bool:
    try:
        return bool(read(decode(tokens)).species)
    except CrystalError:
        return False


def measured(name: str | Path, each: int = 32) -> dict[str, float]:
    """Texts per second of both, and the shares that are crystals."""
    generator = CrystaLLMGenerator(*load_checkpoint(name))
    requests = [CrystalRequest(f, derive_seed(0, "bench", f, i)) for f in FORMULAS for i in range(each)]
    generator.generate(requests[:: each // 4])  # works out the common space groups
    began = time.perf_counter()
    answers = generator.generate(requests)
    ours = time.perf_counter() - began
    network = generator.sampler.network
    assert isinstance(network, CrystaLLM)
    draw = torch.Generator().manual_seed(0)
    began = time.perf_counter()
    texts = [uncached(network, encode(f"data_{cell}\n"), draw) for cell in CELLS]
    theirs = time.perf_counter() - began
    return {
        "ours": len(answers) / ours,
        "ours_crystals": sum(answer.crystal is not None for answer in answers) / len(answers),
        "theirs": len(texts) / theirs,
        "theirs_crystals": sum(map(is_crystal, texts)) / len(texts),
    }


def test_crystals_per_second_of_one_thread() -> None:
    torch.set_num_threads(1)
    found = measured("crystallm-generator")
    print(
        f"\nCrystaLLM: {found['ours']:.1f} crystals/s on one thread ({found['ours_crystals']:.0%} met), "
        f"{found['ours'] / found['theirs']:.0f} × the authors' loop ({found['theirs']:.2f}/s)"
    )
    assert found["ours_crystals"] > 0
