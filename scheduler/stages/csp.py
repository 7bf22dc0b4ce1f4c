"""CSP: crystal structures of a composition, ranked, the best of them relaxed."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import cast

from sqlalchemy.orm import Session

from scheduler.flow import Role
from scheduler.pools import Ask, Models
from scheduler.spec import CspStage
from scheduler.stages.outcome import Order, Outcome, count, failure
from storage.candidates import Judgement, mark_survivors, record_judgements
from storage.failures import NewFailure, record_failures
from storage.hashes import digest_rows
from storage.states import StageName
from storage.structures import NewStructure, record_structures
from workers.compositions import parse_formula
from workers.crystals import Crystal, rounded, space_group
from workers.generator.ranking import Group
from workers.generator.ranking import order as best_first
from workers.generator.requests import CrystalRequest, Generated
from workers.models import Refused
from workers.pool import Failure
from workers.relaxation import Relaxed
from workers.seeds import derive_seed

FMAX = 0.05  # eV/Å
ENERGIES = Ask(Role.STRUCTURE, "energies", 16, {})
MERGE = Ask(Role.STRUCTURE, "merge", 4, {})
NO_STRUCTURE = "no structure"


@dataclass(frozen=True, slots=True)
class Found:
    """A crystal of a formula: which sample, how many samples gave the same, energy in eV/atom."""

    formula: str
    sample: int
    crystal: Crystal
    log_likelihood: float
    log_mass: float
    copies: int = 1
    energy: float = inf
    relaxed: bool = False
    flaw: str | None = None


def load(session: Session, order: Order) -> list[str]:
    """The chunk's formulas."""
    return list(order.chunk.formulas or ())


def compute(order: Order, formulas: list[str], models: Models) -> Outcome:
    """Structures of every formula that can have one, best first; why the others have none."""
    csp = order.spec.csp or CspStage()
    problems: dict[str, Refused | Failure] = dict(_refusals(formulas, csp))
    asked = [formula for formula in formulas if formula not in problems]
    models.warm(Role.STRUCTURE)
    samples, flawed = generate(order, asked, csp, models)
    problems |= flawed
    ranked = rank(samples, merge(samples, models), csp.rank, models)
    best = relax([group[0] for group in ranked], csp.relax_steps, models)
    rows = [
        _row(found, place)
        for first, group in zip(best, ranked, strict=True)
        for place, found in enumerate((first, *group[1:]))
    ]
    failures = tuple(failure(order, formula, problem) for formula, problem in problems.items())
    digest = digest_rows((row.formula, row.rank, row.sample, row.energy_per_atom, row.crystal) for row in rows)
    survivors = [found.formula for found in best]
    counts = count(len(formulas), len(survivors), failures)
    return Outcome(counts, digest, failures, {"structures": rows, "survivors": survivors})


def record(session: Session, order: Order, outcome: Outcome) -> None:
    """Store structures and failures; a candidate without a structure gets its verdict here."""
    campaign = order.chunk.campaign_id
    record_structures(session, campaign, cast(Sequence[NewStructure], outcome.rows["structures"]))
    mark_survivors(session, campaign, StageName.CSP, cast(Sequence[str], outcome.rows["survivors"]))
    record_failures(session, campaign, outcome.failures)
    record_judgements(session, campaign, [_without(row) for row in outcome.failures])


def generate(
    order: Order, formulas: Sequence[str], csp: CspStage, models: Models
) -> tuple[list[list[Found]], dict[str, Refused | Failure]]:
    """The valid crystals of each formula that has any, and why the others have none."""
    places = [(formula, sample) for formula in formulas for sample in range(csp.structures)]
    requests = [
        _request(formula, derive_seed(order.seed, StageName.CSP, formula, sample), csp) for formula, sample in places
    ]
    answers = models.ask(Ask(Role.GENERATOR, "generate", 4 * csp.structures, {}), requests)
    by_formula: dict[str, list[tuple[int, object]]] = {formula: [] for formula in formulas}
    for (formula, sample), answer in zip(places, answers, strict=True):
        by_formula[formula].append((sample, answer))
    valid = {formula: list(_valid(formula, samples)) for formula, samples in by_formula.items()}
    flawed = {formula: _why_none(by_formula[formula]) for formula, group in valid.items() if not group}
    return [group for group in valid.values() if group], flawed


def merge(samples: Sequence[Sequence[Found]], models: Models) -> list[list[Group]]:
    """Which of the samples of each formula are one structure, the most probable of them first."""
    answers = models.ask(MERGE, [[found.crystal for found in group] for group in samples])
    return [_structures(group, answer) for group, answer in zip(samples, answers, strict=True)]


def rank(
    samples: Sequence[Sequence[Found]], groups: Sequence[Sequence[Group]], by: str, models: Models
) -> list[list[Found]]:
    """One crystal of each structure, best first by one of the rankings; all energies are asked in one go."""
    firsts = [own[group[0]] for own, some in zip(samples, groups, strict=True) for group in some]
    energies = iter(models.ask(ENERGIES, [found.crystal for found in firsts]))
    return [_ranked(own, some, by, energies) for own, some in zip(samples, groups, strict=True)]


def relax(best: Sequence[Found], steps: int, models: Models) -> list[Found]:
    """The best of each group after so many steps; one that does not relax stays as it was."""
    if steps == 0:
        return list(best)
    question = Ask(Role.STRUCTURE, "relax", 1, {"steps": steps, "fmax": FMAX})
    answers = models.ask(question, [found.crystal for found in best])
    return [_with_relaxation(found, answer) for found, answer in zip(best, answers, strict=True)]


def _refusals(formulas: Sequence[str], csp: CspStage) -> Iterator[tuple[str, Refused]]:
    for formula in formulas:
        composition = parse_formula(formula)
        if not composition.integral:
            yield formula, Refused("fractional amounts; a crystal needs whole numbers of atoms")
        elif composition.atoms > csp.max_atoms:
            yield formula, Refused(f"{composition.atoms:g} atoms; at most {csp.max_atoms} are accepted (csp.max_atoms)")


def _request(formula: str, seed: int, csp: CspStage) -> CrystalRequest:
    return CrystalRequest(
        formula=formula,
        seed=seed,
        space_group=csp.space_group,
        temperature=csp.temperature,
        max_atoms=csp.max_atoms,
        wanted=csp.wanted,
        guidance=csp.guidance,
        top_p=csp.top_p,
    )


def _valid(formula: str, samples: Sequence[tuple[int, object]]) -> Iterator[Found]:
    for sample, answer in samples:
        if isinstance(answer, Generated) and answer.crystal is not None and answer.flaw is None:
            yield Found(formula, sample, rounded(answer.crystal), answer.log_likelihood, answer.log_mass)


def _why_none(samples: Sequence[tuple[int, object]]) -> Refused | Failure:
    answers = [answer for _, answer in samples]
    if failed := next((answer for answer in answers if isinstance(answer, Failure)), None):
        return failed
    flaws = Counter(str(cast(Generated, answer).flaw) for answer in answers)
    flaw = min(flaws, key=lambda text: (-flaws[text], text))
    return Refused(f"no valid structure in {len(answers)} samples: {flaw}")


def _structures(samples: Sequence[Found], answer: object) -> list[Group]:
    firsts = range(len(samples)) if isinstance(answer, Failure) else cast(list[int], answer)
    groups: dict[int, Group] = {}
    for place, first in enumerate(firsts):
        groups.setdefault(first, []).append(place)
    return [sorted(group, key=lambda place: (-samples[place].log_mass, place)) for group in groups.values()]


def _ranked(samples: Sequence[Found], groups: Sequence[Group], by: str, answers: Iterator[object]) -> list[Found]:
    found = list(samples)
    for group in groups:
        answer = next(answers)
        energy = inf if isinstance(answer, Failure) else cast(float, answer)
        found[group[0]] = replace(found[group[0]], energy=energy, copies=len(group))
    generated = [Generated(one.crystal, one.log_likelihood, None, one.log_mass) for one in found]
    places = best_first(generated, [one.energy for one in found], by, groups)
    return [found[place] for place in places[: len(groups)]]


def _with_relaxation(found: Found, answer: object) -> Found:
    if isinstance(answer, Failure):
        return replace(found, flaw=f"not relaxed: {answer.reason}")
    relaxed = cast(Relaxed, answer)
    if not isfinite(relaxed.energy):
        return replace(found, flaw=f"not relaxed: {relaxed.flaw}")
    return replace(found, crystal=rounded(relaxed.crystal), energy=relaxed.energy, relaxed=True, flaw=relaxed.flaw)


def _row(found: Found, place: int) -> NewStructure:
    crystal: Mapping[str, object] = found.crystal.to_dict()
    return NewStructure(
        formula=found.formula,
        rank=place,
        sample=found.sample,
        crystal=crystal,
        space_group=space_group(found.crystal),
        nsites=len(found.crystal.species),
        log_likelihood=found.log_likelihood,
        energy_per_atom=found.energy if isfinite(found.energy) else None,
        relaxed=found.relaxed,
        copies=found.copies,
        flaw=found.flaw,
    )


def _without(row: NewFailure) -> Judgement:
    return Judgement(row.formula, NO_STRUCTURE, row.reason, {})
