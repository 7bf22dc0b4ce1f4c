"""When a generated structure helps: properties of the same materials, predicted from the composition, from structures
generated for it, and from both.

Weights are fitted on MP-20's val split and tried on its test split. Formulas that the composition predictor has learnt
are left out; an energy above the hull is one above a hull without the material's own formula.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np

from workers.cards import load_checkpoint
from workers.composition_models import CompositionModel
from workers.errors import UserError
from workers.generator.evaluation.answers import STRUCTURES, Task, answer
from workers.generator.evaluation.combined import Floats, Weighing, fit
from workers.generator.evaluation.desk import Desk, Json, spread
from workers.generator.evaluation.matching import RULE
from workers.generator.evaluation.materials import Material, materials
from workers.generator.evaluation.tally import BOTH, COMPOSITION, ENERGY, Survey, tally
from workers.generator.evaluation.trials import Exam, answered, from_json, questions
from workers.generator.generators import JUDGE, Generator
from workers.judge_heads import PREDICTED
from workers.judges import hull_of
from workers.known_phases import atomic_fractions, fit_shifts, shift
from workers.models import Refused, find_card, load_model
from workers.properties import Predicted

PLAIN = "composition-predictor"
ABOVE = PREDICTED.index("e_above_hull")
NEAR = 0.01  # eV/atom above the hull: about half of MP-20 is nearer


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many materials of test are predicted and on how many of val weights are fitted (0: all), and how structures
    are drawn, ranked and relaxed: as campaigns do it."""

    targets: int = 0
    fitted: int = 0
    samples: int = 8
    temperature: float = 0.7
    seed: int = 0
    rank: str = "energy"
    steps: int = 30


def structures(generator: Generator, data: Path, asked: Comparison, desk: Desk, device: str) -> Json:
    """Mean absolute errors by property and way of predicting, with standard errors; where which way is better."""
    bench = Bench(generator, data, asked, desk, device)
    val, test = bench.survey("val", asked.fitted), bench.survey("test", asked.targets)
    weighings = fitted(val)
    weights = {way: {name: asdict(found) for name, found in some.items()} for way, some in weighings.items()}
    about = {"model": generator.card.name, **bench.header(), "fitted": len(val.truth), "weights": weights}
    return about | {"constant": constant(val, test)} | tally(test, weighings)


def constant(val: Survey, test: Survey) -> dict[str, float]:
    """By property the mean absolute error of saying the median of val of every material."""
    errors = np.abs(test.truth - np.nanmedian(val.truth, axis=0))
    return dict(zip(PREDICTED, np.nanmean(errors, axis=0).round(5).tolist(), strict=True))


def fitted(survey: Survey) -> dict[str, dict[str, Weighing]]:
    """By way of combining, the weighing of each property."""
    return {way: {name: _fitted(survey, other, i) for i, name in enumerate(PREDICTED)} for way, other in BOTH.items()}


def _fitted(survey: Survey, structure: str, i: int) -> Weighing:
    known = np.isfinite(survey.truth[:, i])
    own, other = (survey.column(way, i, known) for way in (COMPOSITION, structure))
    return fit(own, other, survey.excess(structure, known), survey.truth[known, i])


@dataclass(frozen=True, slots=True)
class Bench:
    """Where materials are predicted in every way; what takes time is kept on the desk."""

    generator: Generator
    data: Path
    asked: Comparison
    desk: Desk
    device: str

    def header(self) -> Json:
        """What the answers depend on."""
        asked = {name: value for name, value in asdict(self.asked).items() if name not in ("targets", "fitted")}
        return {"model_id": self.generator.card.model_id, "judge_id": find_card(JUDGE).model_id, "rule": RULE, **asked}

    def survey(self, split: str, count: int) -> Survey:
        """What is said of a split's materials; those that some way cannot predict are left out."""
        chosen = materials(self.data, split, count)
        pairs = list(zip(chosen, self._said(split, chosen), strict=True))
        flaws = {material.target.formula: row["flaw"] for material, row in pairs if "flaw" in row}
        predicted = [(material, row) for material, row in pairs if "flaw" not in row]
        if not predicted:
            raise UserError(f"split {split!r}: {len(chosen)} materials, none of which can be predicted in every way")
        kept, said = zip(*predicted, strict=True)
        values = {way: np.array([row[way] for row in said]) for way in (COMPOSITION, *STRUCTURES)}
        self._mend([material.target.formula for material in kept], values)
        return Survey(np.array([material.labels for material in kept]), values, _kinds(kept, said), flaws)

    def _said(self, split: str, chosen: Sequence[Material]) -> list[Json]:
        """What each way says of each material, or why one cannot."""
        plain = cast(CompositionModel, load_model(PLAIN, self.device))
        answers = plain.predict([material.target.formula for material in chosen])
        return [row | _plain(found) for row, found in zip(self._judged(split, chosen), answers, strict=True)]

    def _judged(self, split: str, chosen: Sequence[Material]) -> list[Json]:
        """What the structure predictor says of each material; files may hold more than these."""
        dials = self.asked
        exam = Exam("mp20", split, len(chosen), dials.samples, dials.temperature, dials.seed, formula_only=True)
        asked = questions([material.target for material in chosen], exam)
        header, count = self.header(), len(chosen)
        lines = self.desk.completed(
            f"{split}-samples", header, count, lambda start: answered(self.generator, asked[start:])
        )
        tasks = [self._task(material, line) for material, line in zip(chosen, lines[:count], strict=True)]
        rows = self.desk.completed(
            f"{split}-judged", header, count, lambda start: spread(answer, tasks[start:], self.desk.processes)
        )
        return rows[:count]

    def _task(self, material: Material, line: Json) -> Task:
        samples = [from_json(found) for found in line["answers"]]
        return Task(material.target.crystal, samples, self.asked.rank, self.asked.steps, self.device)

    def _mend(self, formulas: Sequence[str], values: Mapping[str, Floats]) -> None:
        """Bring the composition's formation energies to MP-20's scale, and take the hull without the own formula."""
        shifts, hull = fit_shifts(self.data), hull_of(load_checkpoint(JUDGE)[1])
        values[COMPOSITION][:, ENERGY, 0] += [shift(formula, shifts) for formula in formulas]
        others = [hull.energy(atomic_fractions(formula), without_own=True) for formula in formulas]
        for way in STRUCTURES:
            values[way][:, ABOVE, 0] = np.maximum(values[way][:, ENERGY, 0] - others, 0.0)


def _plain(found: Predicted | Refused) -> Json:
    """What the composition predictor says, in the order of PREDICTED."""
    if isinstance(found, Refused):
        return {"flaw": found.reason}
    return {COMPOSITION: [found[name] for name in PREDICTED]}


def _kinds(chosen: Sequence[Material], said: Sequence[Json]) -> dict[str, np.ndarray]:
    """What tells materials apart."""
    above = [material.labels[ABOVE] for material in chosen]
    counts = [len(set(material.target.crystal.species)) for material in chosen]
    found = {
        "generated structure": ["another" if row["distances"][0] is None else "the known one" for row in said],
        "relaxed structure": ["another" if row["distances"][1] is None else "the known one" for row in said],
        "formula in MP-20 train": ["yes" if material.trained else "no" for material in chosen],
        "elements": [f"{min(n, 4)}{' or more' if n >= 4 else ''}" for n in counts],
        "energy above the hull": ["unknown" if x != x else f"up to {NEAR}" if x <= NEAR else "more" for x in above],
    }
    return {what: np.array(kinds) for what, kinds in found.items()}
