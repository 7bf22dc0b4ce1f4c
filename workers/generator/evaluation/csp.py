"""How often a generator finds the known structure of a held-out compound: in one sample, in several, after ranking.

Samples, comparisons and energies are kept in files beside the figures, so that each can be made anew by itself.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from workers.crystals import flaw, space_group
from workers.generator.evaluation.benchmarks import held_out, train_formulas
from workers.generator.evaluation.desk import Desk, Json
from workers.generator.evaluation.matching import RULE, Distance, charged_distance, closest, matched, mean_distance
from workers.generator.evaluation.outcomes import Outcome, outcomes
from workers.generator.evaluation.settled import settled
from workers.generator.evaluation.shares import percent
from workers.generator.evaluation.soundness import is_sound, smact_states
from workers.generator.evaluation.trials import Exam, answered, from_json, questions
from workers.generator.evaluation.weighing import choice_of, weights
from workers.generator.generators import Generator
from workers.generator.ranking import ENERGETIC, RANKINGS, order
from workers.generator.requests import Generated

FEW = 4  # how many of the first of a ranking are looked at


def csp(generator: Generator, data: Path, exam: Exam, desk: Desk, energies: str | None, settle: int = 0) -> Json:
    """The figures of one benchmark; energies are measured on a device, or not at all. The structures of the first
    targets to settle are relaxed there, too."""
    targets = held_out(data, exam.targets, exam.split, exam.benchmark)
    header = {"model_id": generator.card.model_id, **asdict(exam), "targets": len(targets)}
    asked = questions(targets, exam)
    lines = desk.completed("samples", header, len(asked), lambda start: answered(generator, asked[start:]))
    samples = [[from_json(answer) for answer in line["answers"]] for line in lines]
    found = outcomes(targets, samples, header, desk, energies)
    seconds = sum(line["seconds"] for line in lines)
    figures = {"model": generator.card.name, **header, "rule": RULE, **summary(found), **strict(found, data)}
    figures["crystals_per_second"] = round(len(targets) * exam.samples / seconds, 1) if seconds else None
    if energies is not None and settle:
        figures["relaxed"] = settled(found[:settle], header, desk, energies)
    return figures if exam.split != "val" else figures | {"weights": fitted(found)}


def summary(found: Sequence[Outcome]) -> Json:
    """Shares in per cent, distances in (volume / atom)^(1/3); what failed or is not valid counts as a miss.

    METRe and cRMSE give each target the closest of all samples for its formula.
    """
    valid = [sum(_is_valid(sample) for sample in outcome.samples) for outcome in found]
    each = [matched(outcome.distances) for outcome in found]
    return {
        "valid": percent(sum(valid) / sum(len(outcome.samples) for outcome in found)),
        "structures": round(float(np.mean([len(outcome.groups) for outcome in found])), 2),
        **_hits([outcome.distances for outcome in found]),
        "match_each": percent(float(np.mean(each))),
        "same_space_group": percent(sum(map(_same_space_group, found)) / len(found)),
        **_polymorphs("at_1", [[o.distances[0], *(other[0] for other in o.others)] for o in found]),
        **_polymorphs("within_k", [[*o.distances, *(x for other in o.others for x in other)] for o in found]),
        "ranked": {by: _ranked(found, by) for by in RANKINGS if by not in ENERGETIC or found[0].energies is not None},
    }


def strict(found: Sequence[Outcome], data: Path) -> Json:
    """Figures for the targets whose formula MP-20's train split has not, and for all of them where those that fail
    SMACT's check count as misses, as DiffCSP, CrystaLLM and others report."""
    trained, states = train_formulas(data), smact_states(data)
    unseen = [outcome.distances for outcome in found if outcome.target.formula not in trained]
    figures = {"not_in_mp20_train": {"targets": len(unseen), **(_hits(unseen) if unseen else {})}}
    if states is None:
        return figures
    sound = [is_sound(outcome.target.crystal.species, states) for outcome in found]
    rows = [o.distances if passes else [None] for o, passes in zip(found, sound, strict=True)]
    return figures | {"smact_valid_only": {"sound": percent(sum(sound) / len(sound)), **_hits(rows)}}


def _hits(rows: Sequence[Sequence[Distance]]) -> Json:
    """What the distances of each target's samples come to, for the first sample and for the closest of all."""
    first, best = [row[0] for row in rows], [closest(row) for row in rows]
    return {
        "match_at_1": percent(matched(first)),
        "rms_at_1": _rounded(mean_distance(first)),
        "match_within_k": percent(matched(best)),
        "rms_within_k": _rounded(mean_distance(best)),
    }


def _polymorphs(name: str, pools: Sequence[Sequence[Distance]]) -> Json:
    best = [closest(pool) for pool in pools]
    return {f"metre_{name}": percent(matched(best)), f"crmse_{name}": _rounded(charged_distance(best))}


def _ranked(found: Sequence[Outcome], by: str) -> Json:
    top, few = [], []
    for outcome in found:
        ranked = order(outcome.samples, outcome.energies, by, outcome.groups)
        top.append(outcome.distances[ranked[0]])
        few.append(closest(outcome.distances[i] for i in ranked[:FEW]))
    shares = {"top_1": percent(matched(top)), f"top_{FEW}": percent(matched(few))}
    return {**shares, "rms_top_1": _rounded(mean_distance(top))}


def fitted(found: Sequence[Outcome]) -> Json:
    """Weights for the rankings, without and with energies, by which the structure sought comes first."""
    ways = (("without_energy", False), ("with_energy", True))
    return {
        name: weights([choice_of(o.samples, o.energies, o.groups, o.distances, energetic) for o in found])
        for name, energetic in ways
        if not energetic or found[0].energies is not None
    }


def _is_valid(sample: Generated) -> bool:
    return sample.crystal is not None and flaw(sample.crystal) is None


def _same_space_group(outcome: Outcome) -> bool:
    crystal = outcome.samples[0].crystal
    return crystal is not None and space_group(crystal) == space_group(outcome.target.crystal)


def _rounded(value: Distance) -> Distance:
    return None if value is None else round(value, 4)
