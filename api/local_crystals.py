"""Crystals drawn in this process without database, queue or actors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import ceil
from typing import Any, cast

from api.lazy_group import load
from api.sampling import Ranking, Sampling
from workers.crystals import Crystal
from workers.errors import CheckpointError, UserError
from workers.generator.generators import Generator, load_generator
from workers.generator.kinds import GENERATORS, KINDS, full_name
from workers.generator.ranking import ENERGETIC, order
from workers.generator.requests import CrystalRequest, Generated
from workers.models import find_card
from workers.seeds import derive_seed

DEVICE = "cpu"
DEFAULT = "symmetry"
IN_FLIGHT = 512  # samples asked for at once: they fill the tiles, and what they hold stays small
COMPARED = 100  # samples of a formula among which repeats are looked for
TRIES = 20  # samples drawn for each one wanted, before a formula is given up


@dataclass(frozen=True, slots=True)
class Drawn:
    """The crystals of a formula, best first, or why there are not as many as asked for."""

    formula: str
    crystals: Sequence[Crystal]
    flaw: str | None = None


@dataclass(slots=True)
class _Series:
    """The samples of one formula, or of those that the model proposes: how many were drawn, and the good ones."""

    formula: str | None
    count: int
    asked: int = 0
    found: list[Generated] = field(default_factory=list)
    reason: str | None = None
    refused: bool = False  # further samples would come to nothing alike

    @property
    def open(self) -> bool:
        return not self.refused and len(self.found) < self.count and self.asked < TRIES * self.count

    def numbers(self) -> range:
        """The next samples to draw: so many that as many as are missing should come out well."""
        share = (len(self.found) + 1) / (self.asked + 1)
        more = ceil((self.count - len(self.found)) / share)
        return range(self.asked, min(self.asked + more, TRIES * self.count))

    def take(self, answer: Generated) -> None:
        """Count an answer; they come in the order of the numbers, and the first good ones stay."""
        self.asked += 1
        if answer.crystal is None:
            self.reason, self.refused = answer.flaw, answer.refused
        elif len(self.found) < self.count:
            self.found.append(answer)


def asked_generator(name: str | None, grammar: str | None) -> str:
    """The checkpoint that a name or folder, a grammar, both or neither ask for; raises UserError."""
    if name is not None and not name.strip():
        raise UserError(f"--generator {name!r}: empty; a name such as {GENERATORS[DEFAULT]}, or a folder, is expected")
    chosen = full_name(name or grammar or DEFAULT)
    try:
        kind = find_card(chosen).kind
    except CheckpointError as exc:
        raise UserError(str(exc)) from exc
    if kind not in KINDS:
        raise UserError(f"model {chosen!r}: it makes no crystals; {', '.join(KINDS)} do")
    if grammar is not None and kind != GENERATORS[grammar]:
        raise UserError(f"--grammar {grammar}: model {chosen!r} is a {kind}; a {GENERATORS[grammar]} is expected")
    return chosen


def draw(formulas: Sequence[str], model: str, sampling: Sampling) -> Iterator[Drawn]:
    """Exactly as many crystals as asked for each formula, or in all where there is none, some formulas at a time.

    Raises UserError where the model cannot be loaded.
    """
    try:
        generator = load_generator(model, DEVICE)
    except CheckpointError as exc:
        raise UserError(str(exc)) from exc
    asked: Sequence[str | None] = formulas or (None,)
    step = max(1, IN_FLIGHT // sampling.count)
    for start in range(0, len(asked), step):
        series = [_Series(formula, sampling.count) for formula in asked[start : start + step]]
        while pending := [one for one in series if one.open]:
            _draw_more(generator, pending, sampling)
        for one in series:
            yield from _finished(one, sampling)


def _draw_more(generator: Generator, pending: Sequence[_Series], sampling: Sampling) -> None:
    places = [(series, number) for series in pending for number in series.numbers()]
    for start in range(0, len(places), IN_FLIGHT):
        some = places[start : start + IN_FLIGHT]
        answers = generator.generate([_request(series.formula, number, sampling) for series, number in some])
        for (series, _), answer in zip(some, answers, strict=True):
            series.take(answer)


def _request(formula: str | None, number: int, sampling: Sampling) -> CrystalRequest:
    return CrystalRequest(
        formula=formula,
        seed=derive_seed(sampling.seed, "generate", formula or "", number),
        units=sampling.units,
        space_group=sampling.space_group,
        temperature=sampling.temperature,
        max_atoms=sampling.max_atoms,
        wanted=sampling.wanted,
        guidance=sampling.guidance,
        top_p=sampling.top_p,
        charge_balanced=sampling.charge_balanced,
    )


def _finished(series: _Series, sampling: Sampling) -> Iterator[Drawn]:
    if len(series.found) < series.count:
        got = f"{len(series.found)} of {series.count} crystals in {series.asked} samples: "
        yield Drawn(series.formula or "", (), f"{'' if series.refused else got}{series.reason}")
        return
    groups: dict[str, list[Generated]] = {}
    for sample in series.found:
        groups.setdefault(series.formula or cast(Crystal, sample.crystal).formula, []).append(sample)
    for formula in sorted(groups):
        yield Drawn(formula, _ranked(groups[formula], sampling.rank))


def _ranked(samples: Sequence[Generated], by: Ranking) -> list[Crystal]:
    """Best first: different structures, then their repeats. To compare many would take long: the least likely, which
    come last, are not."""
    likeliest = sorted(samples, key=lambda sample: -sample.log_mass)
    few, rest = likeliest[:COMPARED], likeliest[COMPARED:]
    energies = _potential().energies(crystals_of(few)) if by in ENERGETIC else None
    ordered = [few[place] for place in order(few, energies, by)]
    return crystals_of([*ordered, *rest])


def crystals_of(samples: Sequence[Generated]) -> list[Crystal]:
    """The crystals of samples that have one."""
    return [crystal for sample in samples if (crystal := sample.crystal) is not None]


@cache
def _potential() -> Any:
    return load("workers.potentials:Potential")(DEVICE)
