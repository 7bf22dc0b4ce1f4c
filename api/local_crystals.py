"""Crystals of a few formulas, drawn in this process without database, queue or actors."""

from collections.abc import Sequence

from api.sampling import Sampling
from workers.crystals import Crystal
from workers.errors import CheckpointError, UserError
from workers.generator.crystal_generator import CrystalGenerator
from workers.generator.requests import CrystalRequest
from workers.models import load_model
from workers.seeds import derive_seed

DEVICE = "cpu"
TRIES = 20  # samples drawn for each one wanted, before a formula is given up


def generate(formulas: Sequence[str], model: str, sampling: Sampling) -> list[list[Crystal]]:
    """Exactly as many crystals as asked for each formula, likeliest first; raises UserError."""
    try:
        generator = load_model(model, DEVICE)
    except CheckpointError as exc:
        raise UserError(str(exc)) from exc
    if not isinstance(generator, CrystalGenerator):
        raise UserError(f"model {model!r}: it makes no crystals; crystal-generator does")
    return [_samples(generator, formula, sampling) for formula in formulas]


def _samples(generator: CrystalGenerator, formula: str, sampling: Sampling) -> list[Crystal]:
    found: list[tuple[float, Crystal]] = []
    reason: str | None = None
    for start in range(0, TRIES * sampling.count, sampling.count):
        numbers = range(start, start + sampling.count)
        for sample in generator.generate([_request(formula, number, sampling) for number in numbers]):
            if sample.crystal is None:
                reason = sample.flaw
            else:
                found.append((sample.log_likelihood, sample.crystal))
        if len(found) >= sampling.count:
            kept = sorted(found[: sampling.count], key=lambda pair: -pair[0])
            return [crystal for _, crystal in kept]
    limits = "a larger --max-atoms or another --space-group is expected"
    raise UserError(f"formula {formula!r}: no {sampling.count} crystals found ({reason}); {limits}")


def _request(formula: str, number: int, sampling: Sampling) -> CrystalRequest:
    return CrystalRequest(
        formula=formula,
        seed=derive_seed(sampling.seed, "generate", formula, number),
        space_group=sampling.space_group,
        temperature=sampling.temperature,
        max_atoms=sampling.max_atoms,
    )
