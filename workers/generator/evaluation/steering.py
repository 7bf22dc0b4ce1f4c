"""How well a generator does what it is steered towards: formula and space group, density, band gap, HHI."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from workers.crystals import Crystal, flaw, space_group
from workers.generator.evaluation.benchmarks import LARGEST, Target, held_out
from workers.generator.evaluation.desk import Desk, Json, spread
from workers.generator.evaluation.shares import percent
from workers.generator.evaluation.trials import answered, from_json
from workers.generator.generators import Generator, judge
from workers.generator.requests import CrystalRequest
from workers.hhi import hhi
from workers.properties import structure_name
from workers.seeds import derive_seed

GRID: Mapping[str, tuple[float, ...]] = {
    "density": (2.0, 4.0, 7.0, 11.0),
    "band_gap": (0.5, 1.5, 3.0, 5.0),
    "hhi": (1000.0, 2000.0, 4000.0),
}
PLAIN: Mapping[str, Callable[[Crystal], float | None]] = {
    "density": lambda crystal: crystal.density,
    "hhi": lambda crystal: hhi(crystal.formula),
}
FMAX = 0.05  # eV/Å


@dataclass(frozen=True, slots=True)
class Drill:
    """Held-out structures whose formula and space group are asked for, samples for each value of GRID, and the
    guidance beside none."""

    benchmark: str = "mp20"
    split: str = "test"
    targets: int = 200
    samples: int = 64
    temperature: float = 0.8
    seed: int = 0
    guidance: float = 2.0
    steps: int = 30  # of relaxation before a band gap is predicted
    charge_balanced: bool = False  # where the model proposes the formula


@dataclass(frozen=True, slots=True)
class Order:
    """One condition's value, asked for with some guidance; without a name nothing is asked for."""

    name: str = ""
    value: float = 0.0
    guidance: float = 1.0


def conditions(generator: Generator, data: Path, drill: Drill, desk: Desk, device: str) -> Json:
    """Shares in per cent of all samples; mean absolute errors in the condition's unit, relative ones as a share."""
    targets = held_out(data, drill.targets, drill.split, drill.benchmark)
    orders = list(_orders(drill.guidance))
    strengths = (1.0, drill.guidance)
    asked = [tuple(_with_group(target, drill, strength) for target in targets) for strength in strengths]
    asked += [tuple(_steered(order, drill, i) for i in range(drill.samples)) for order in (Order(), *orders)]
    header = {"model_id": generator.card.model_id, **asdict(drill), "targets": len(targets), "grid": dict(GRID)}
    lines = desk.completed("steered", header, len(asked), lambda start: answered(generator, asked[start:]))
    crystals = [[from_json(answer).crystal for answer in line["answers"]] for line in lines]
    exact = {f"guidance {s:g}": exactness(targets, row) for s, row in zip(strengths, crystals, strict=False)}
    free, *steered = [[c for c in row if c is not None and flaw(c) is None] for row in crystals[len(strengths) :]]
    cells = [(name, free) for name in GRID]
    cells += [(order.name, row) for order, row in zip(orders, steered, strict=True)]
    gaps = [(device, drill.steps, crystal) for name, row in cells if name == "band_gap" for crystal in row]
    found = desk.completed("gaps", header, len(gaps), lambda start: spread(_gap, gaps[start:], desk.processes))
    values = list(_achieved(cells, found))
    rows = _compared(orders, values[len(GRID) :], dict(zip(GRID, values, strict=False)))
    return {"model": generator.card.name, **header, "formula_and_space_group": exact, "steered": rows}


def _orders(guidance: float) -> Iterator[Order]:
    for name, values in GRID.items():
        for value in values:
            yield Order(name, value, 1.0)
            yield Order(name, value, guidance)


def _with_group(target: Target, drill: Drill, guidance: float) -> CrystalRequest:
    return CrystalRequest(
        target.formula,
        derive_seed(drill.seed, "space group", target.formula, 0),
        target.units,
        space_group(target.crystal),
        drill.temperature,
        LARGEST[drill.benchmark],
        guidance=guidance,
    )


def _steered(order: Order, drill: Drill, number: int) -> CrystalRequest:
    return CrystalRequest(
        None,
        derive_seed(drill.seed, "steered", order.name, number),
        temperature=drill.temperature,
        max_atoms=LARGEST[drill.benchmark],
        wanted=((order.name, order.value),) if order.name else (),
        guidance=order.guidance,
        charge_balanced=drill.charge_balanced,
    )


def exactness(targets: Sequence[Target], crystals: Sequence[Crystal | None]) -> Json:
    """How often the asked formula, with its units, and the asked space group are what was made; spglib at 0.1 Å."""
    pairs = list(zip(targets, crystals, strict=True))
    formula = [c is not None and sorted(c.species) == sorted(t.crystal.species) for t, c in pairs]
    group = [c is not None and space_group(c) == space_group(t.crystal) for t, c in pairs]
    return {
        "n": len(pairs),
        "formula": percent(sum(formula), len(pairs)),
        "space_group": percent(sum(group), len(pairs)),
    }


def _compared(
    orders: Sequence[Order], values: Sequence[Sequence[float]], unasked: Mapping[str, Sequence[float]]
) -> list[Json]:
    """Errors of what was made for each order, beside those of crystals that nothing was asked of."""
    return [
        {**asdict(order), **errors(found, order.value), "unasked": errors(unasked[order.name], order.value)}
        for order, found in zip(orders, values, strict=True)
    ]


def errors(values: Sequence[float], wanted: float) -> Json:
    """Mean absolute and relative error, and the median achieved; None where there is nothing to measure."""
    if not len(values):
        return {"n": 0, "error": None, "relative_error": None, "median": None}
    error = float(np.mean(np.abs(np.asarray(values) - wanted)))
    relative = round(error / wanted, 4) if wanted else None
    median = round(float(np.median(values)), 4)
    return {"n": len(values), "error": round(error, 4), "relative_error": relative, "median": median}


def _achieved(cells: Sequence[tuple[str, Sequence[Crystal]]], gaps: Sequence[float | None]) -> Iterator[list[float]]:
    """The asked condition's values of the crystals of each cell that have one; band gaps come in order."""
    left = iter(gaps)
    for name, crystals in cells:
        values = [next(left) if name == "band_gap" else PLAIN[name](crystal) for crystal in crystals]
        yield [value for value in values if value is not None]


def _gap(task: tuple[str, int, Crystal]) -> float | None:
    """The band gap in eV, at least zero, that the structure predictor sees after some steps of relaxation: bonds that
    are a little off close it."""
    device, steps, crystal = task
    model = judge(device)
    relaxed = model.relax([crystal], steps, FMAX)[0].crystal if steps else crystal
    found = model.predict([relaxed])[0].get(structure_name("band_gap"))
    return None if found is None else max(round(found[0], 5), 0.0)
