"""Energies of a set of references and of a model on one scale, and phase diagrams of the set on that scale.

What a set calls the energy of a crystal depends on its level of theory: total energies or formation energies, one
functional or another, with corrections or without. To first order each element's atom adds a constant to it. These
constants are fitted between the set's energies and the model's formation energies of the set's own structures; what
they do not explain is the spread, which is told with the set and is the least standard deviation of what comes of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Element

from workers.known_phases import atomic_fractions, dense, least_deviations
from workers.properties import Predicted, structure_name

RIDGE = 1e-6
ROUNDS = 40  # total energies lie some eV from where the fit begins
CERTAIN = 1 - 1e-6
MOST_ELEMENTS = 8  # in a phase diagram: its facets grow exponentially with them
CACHED = 256
ENERGY, HULL = structure_name("formation_energy_per_atom"), structure_name("e_above_hull")

Energies = Mapping[str, float]  # eV/atom by formula


@dataclass(frozen=True, slots=True)
class Scale:
    """From a model's formation energies to a set's energies: what each element's atom adds in eV, and the mean absolute
    deviation that is left in eV/atom, over so many structures."""

    shifts: dict[str, float]
    spread: float
    structures: int

    def to_dict(self) -> dict[str, Any]:
        """The scale as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Phases:
    """Competing phases of a named set: their lowest energies as the set has them, and its scale."""

    title: str
    scale: Scale
    energies: Energies


def fit_scale(formulas: Sequence[str], energies: Sequence[float], formation: Sequence[float]) -> Scale | None:
    """The scale between a set's energies and a model's formation energies of the same structures, all eV/atom: for the
    elements of which they tell enough; None where there are no more structures than elements."""
    fractions = np.stack([dense(formula) for formula in formulas])
    elements = int(fractions.any(axis=0).sum())
    if len(formulas) <= elements:
        return None
    gaps = np.asarray(energies) - np.asarray(formation)
    shifts = least_deviations(fractions, gaps, RIDGE, ROUNDS)
    spread = np.abs(gaps - fractions @ shifts).sum() / (len(formulas) - elements)
    # An element that only ever comes in one proportion with others could have any shift.
    told = np.flatnonzero(np.diag(np.linalg.pinv(fractions) @ fractions) > CERTAIN).tolist()
    return Scale({Element.from_Z(z).symbol: float(shifts[z]) for z in told}, float(spread), len(formulas))


def above_hull(predicted: Predicted, formula: str, phases: Phases) -> Predicted | None:
    """What is predicted of a structure with its energy above the hull of these phases in the place of the estimate;
    None where the phases span no diagram of its elements, or its energy is unknown."""
    hull = hull_energy(formula, phases)
    if hull is None or ENERGY not in predicted:
        return None
    energy, std = predicted[ENERGY]
    return predicted | {HULL: (max(energy - hull, 0.0), max(std, phases.scale.spread))}


def hull_energy(formula: str, phases: Phases) -> float | None:
    """The formation energy in eV/atom that the most stable mixture of phases reaches at a composition."""
    amounts = {Element.from_Z(z).symbol: share for z, share in atomic_fractions(formula).items()}
    if not amounts or len(amounts) > MOST_ELEMENTS or not amounts.keys() <= phases.scale.shifts.keys():
        return None
    return float(_diagram(competing(frozenset(amounts), phases)).get_hull_energy_per_atom(Composition(amounts)))


def competing(elements: frozenset[str], phases: Phases) -> tuple[tuple[str, float], ...]:
    """The phases of a chemical system with their formation energies; an element that the set lacks lies at zero, which
    is where the model has it."""
    found = dict.fromkeys(elements, 0.0)
    for formula, energy in phases.energies.items():
        shares = {Element.from_Z(z).symbol: share for z, share in atomic_fractions(formula).items()}
        if shares and shares.keys() <= elements:
            name = formula if len(shares) > 1 else next(iter(shares))
            found[name] = energy - sum(share * phases.scale.shifts[symbol] for symbol, share in shares.items())
    return tuple(sorted(found.items()))


@lru_cache(maxsize=CACHED)
def _diagram(phases: tuple[tuple[str, float], ...]) -> PhaseDiagram:
    entries = ((Composition(formula), energy) for formula, energy in phases)
    return PhaseDiagram([PDEntry(composition, energy * composition.num_atoms) for composition, energy in entries])
