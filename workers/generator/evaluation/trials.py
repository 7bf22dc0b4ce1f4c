"""Trials of a generator: what it is asked for each target, and what it answered."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workers.crystals import Crystal, rounded
from workers.generator.evaluation.benchmarks import LARGEST, Target
from workers.generator.evaluation.desk import Json
from workers.generator.generators import Generator
from workers.generator.requests import CrystalRequest, Generated, unmade
from workers.seeds import derive_seed

TOGETHER = 8192  # samples asked for in one call, so that a run that is cut short loses little

Question = tuple[CrystalRequest, ...]


@dataclass(frozen=True, slots=True)
class Exam:
    """Which held-out structures are asked for, and how samples are drawn."""

    benchmark: str = "mp20"
    split: str = "test"
    targets: int = 1000  # 0: all
    samples: int = 20  # for each target
    temperature: float = 0.8
    seed: int = 0
    formula_only: bool = False  # the model chooses how many formula units the cell holds


def questions(targets: Sequence[Target], exam: Exam) -> list[Question]:
    """The requests for each target; polymorphs get different samples although they are asked for alike."""
    asked: dict[str, int] = {}
    found = []
    for target in targets:
        turn = asked[target.formula] = asked.get(target.formula, -1) + 1
        stage = f"evaluate {turn}" if turn else "evaluate"
        found.append(tuple(_request(target, exam, stage, i) for i in range(exam.samples)))
    return found


def _request(target: Target, exam: Exam, stage: str, number: int) -> CrystalRequest:
    return CrystalRequest(
        formula=target.formula,
        seed=derive_seed(exam.seed, stage, target.formula, number),
        units=None if exam.formula_only else target.units,
        temperature=exam.temperature,
        max_atoms=LARGEST[exam.benchmark],
    )


def answered(generator: Generator, asked: Sequence[Question]) -> Iterator[Json]:
    """Answers to each question as JSON values, and the seconds that they took."""
    size = max(TOGETHER // max(len(asked[0]), 1), 1) if asked else 1
    for start in range(0, len(asked), size):
        part = asked[start : start + size]
        began = time.monotonic()
        answers = iter(generator.generate([request for question in part for request in question]))
        seconds = (time.monotonic() - began) / len(part)
        for question in part:
            yield {"answers": [to_json(next(answers)) for _ in question], "seconds": round(seconds, 6)}


def to_json(answer: Generated) -> Json:
    """An answer as JSON values, its crystal to six decimals; numbers that are not finite become null."""
    if answer.crystal is None:
        return {"flaw": answer.flaw}
    logs = {"log_likelihood": round(answer.log_likelihood, 4), "log_mass": round(answer.log_mass, 4)}
    finite = {name: value if abs(value) < float("inf") else None for name, value in logs.items()}
    return {"crystal": rounded(answer.crystal).to_dict(), **finite}


def from_json(data: Json) -> Generated:
    """The answer that `to_json` wrote."""
    if "crystal" not in data:
        return unmade(data["flaw"])
    likelihood, mass = (_number(data[name]) for name in ("log_likelihood", "log_mass"))
    return Generated(Crystal.from_dict(data["crystal"]), likelihood, None, mass)


def _number(value: float | None) -> float:
    return -float("inf") if value is None else value
