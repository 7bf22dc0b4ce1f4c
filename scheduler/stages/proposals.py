"""Formulas that a generator proposes for a source, each a function of the campaign's seed and its number alone."""

from scheduler.errors import NoAnswer
from scheduler.flow import Role
from scheduler.pools import Ask, Models
from scheduler.spec import GenerateSource, Source
from scheduler.stages.outcome import Order
from storage.candidates import NewCandidate
from workers.generator.requests import CrystalRequest
from workers.pool import Failure
from workers.seeds import derive_seed

PROPOSE = Ask(Role.PROPOSER, "propose", 256, {})
KNOWN = Ask(Role.STRUCTURE, "known", 256, {})


def propose(order: Order, source: GenerateSource, models: Models) -> list[object]:
    """The formula of each proposal of the chunk, or why it came to none."""
    models.warm(Role.COMPOSITION)
    numbers = range(order.chunk.start or 0, order.chunk.stop or 0)
    return models.ask(PROPOSE, [_request(order.seed, number, source) for number in numbers])


def novel(source: Source, candidates: list[NewCandidate], models: Models) -> list[NewCandidate]:
    """The candidates that are the composition of no known phase, where the source asks for them; raises NoAnswer."""
    if not (isinstance(source, GenerateSource) and source.novel):
        return candidates
    answers = models.ask(KNOWN, [row.formula for row in candidates])
    for row, answer in zip(candidates, answers, strict=True):
        if isinstance(answer, Failure):
            raise NoAnswer(row.formula, answer.reason)
    return [row for row, known in zip(candidates, answers, strict=True) if not known]


def _request(seed: int, number: int, source: GenerateSource) -> CrystalRequest:
    return CrystalRequest(
        formula=None,
        seed=derive_seed(seed, source.kind, "", number),
        space_group=source.space_group,
        temperature=source.temperature,
        max_atoms=source.max_atoms,
        wanted=source.wanted,
        guidance=source.guidance,
        top_p=source.top_p,
        charge_balanced=source.charge_balanced,
    )
