"""Which of a target's structures comes first once they are relaxed."""

from collections.abc import Sequence
from math import inf, isfinite

from workers.crystals import Crystal
from workers.generator.evaluation.desk import Desk, Json, spread
from workers.generator.evaluation.matching import RULE, Distance, distances, matched
from workers.generator.evaluation.outcomes import Outcome
from workers.generator.evaluation.shares import percent
from workers.generator.generators import judge
from workers.generator.ranking import ENERGETIC, order

MOST = 8  # of a target's structures, the most promising before relaxation
PROMISING = "both"  # the ranking that says which these are
STEPS, FMAX = 30, 0.05  # eV/Å

Job = tuple[str, Crystal, list[tuple[int, Crystal]]]
Settled = tuple[int, float | None, Distance]  # a sample, its energy in eV/atom once relaxed, its distance then


def settled(found: Sequence[Outcome], header: Json, desk: Desk, device: str) -> Json:
    """Shares in per cent of targets whose known structure comes first, by energies before and after relaxation; after
    it also with what the known structure is compared with relaxed."""
    jobs = [_job(outcome, device) for outcome in found]
    about = header | {"rule": RULE, "most": MOST, "steps": STEPS}
    rows = desk.completed("settled", about, len(jobs), lambda start: spread(_settle, jobs[start:], desk.processes))
    rows = rows[: len(jobs)]
    figures: Json = {"targets": len(jobs), "structures": sum(map(len, rows))}
    for by in sorted(ENERGETIC):
        before = [_first(outcome, outcome.energies, by) for outcome in found]
        after = [_first(outcome, _energies(outcome, row), by) for outcome, row in zip(found, rows, strict=True)]
        as_made = [[o.distances[i] for o, i in zip(found, firsts, strict=True)] for firsts in (before, after)]
        as_relaxed = [_distance(row, i) for row, i in zip(rows, after, strict=True)]
        named = zip(("before", "after", "after, as relaxed"), (*as_made, as_relaxed), strict=True)
        figures[by] = {name: percent(matched(apart)) for name, apart in named}
    return figures


def _first(outcome: Outcome, energies: list[float] | None, by: str) -> int:
    return order(outcome.samples, energies, by, outcome.groups)[0]


def _job(outcome: Outcome, device: str) -> Job:
    """The most promising structures of a target, their best samples numbered."""
    ranked = order(outcome.samples, outcome.energies, PROMISING, outcome.groups)[: len(outcome.groups)]
    made = [(i, crystal) for i in ranked[:MOST] if (crystal := outcome.samples[i].crystal) is not None]
    return device, outcome.target.crystal, made


def _settle(job: Job) -> list[Settled]:
    """What becomes of each sample; no energy where it could not be measured."""
    device, known, made = job
    relaxed = judge(device).relax([crystal for _, crystal in made], STEPS, FMAX)
    apart = distances((known, [answer.crystal for answer in relaxed]))
    return [
        (i, round(answer.energy, 5) if isfinite(answer.energy) else None, distance)
        for (i, _), answer, distance in zip(made, relaxed, apart, strict=True)
    ]


def _energies(outcome: Outcome, row: Sequence[Settled]) -> list[float]:
    """Energies by sample, infinite for those that were not relaxed."""
    energies = {i: inf if energy is None else energy for i, energy, _ in row}
    return [energies.get(i, inf) for i in range(len(outcome.samples))]


def _distance(row: Sequence[Settled], sample: int) -> Distance:
    return next((distance for i, _, distance in row if i == sample), None)
