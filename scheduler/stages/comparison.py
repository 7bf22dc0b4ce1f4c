"""Comparison with references: which structures are known, and the hull of the first set that has energies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy.orm import Session

from scheduler.flow import Role
from scheduler.pools import Ask, Models
from storage.models import campaign_models
from storage.references import Finding, KnownCrystal, ReferenceSet, campaign_sets, known_crystals, lowest_energies
from workers.compositions import parse_formula
from workers.crystals import Crystal
from workers.pool import Failure
from workers.properties import Predicted
from workers.reference_scales import HULL, Phases, Scale, above_hull
from workers.references import NEW, Comparison, chemical_system, nearest_first

MATCH = Ask(Role.STRUCTURE, "match", 1, {})
ESTIMATE = "estimate"  # of the energy above the hull: the model's own phases, not those of a set


@dataclass(frozen=True, slots=True)
class References:
    """What a campaign's sets hold about the formulas of a chunk; `compared` is false where it has no sets."""

    compared: bool = False
    known: Mapping[str, Sequence[KnownCrystal]] | None = None
    phases: Phases | None = None


def load_references(session: Session, campaign_id: int, formulas: Sequence[str]) -> References:
    """The known structures of these formulas, and the phases of their chemical systems."""
    sets = campaign_sets(session, campaign_id)
    if not sets:
        return References()
    known = known_crystals(session, [held.id for held in sets], formulas)
    return References(True, known, _phases(session, campaign_id, sets, formulas))


def compare(
    crystals: Mapping[str, Crystal], answers: Mapping[str, object], references: References, models: Models
) -> tuple[dict[str, object], list[Finding]]:
    """The answers with energies above the references' hull where it spans their elements, and what was found out."""
    equal = _matches(crystals, references, models)
    compared: dict[str, object] = {}
    findings = []
    for formula, answer in answers.items():
        compared[formula], hull = _on_hull(formula, answer, references.phases)
        findings.append(Finding(formula, equal.get(formula), hull))
    return compared, findings


def scale_of(held: ReferenceSet, model_id: str) -> Scale | None:
    """How a model's energies compare with those of a set, if that was measured."""
    kept = (held.scale or {}).get(model_id)
    return None if kept is None else Scale(**kept)


def _phases(session: Session, campaign_id: int, sets: Sequence[ReferenceSet], formulas: Sequence[str]) -> Phases | None:
    model_id = campaign_models(session, campaign_id)[Role.STRUCTURE]
    systems = {chemical_system(parse_formula(formula).elements) for formula in formulas}
    for held in sets:
        if (scale := scale_of(held, model_id)) is not None:
            return Phases(held.title, scale, lowest_energies(session, held.id, systems))
    return None


def _on_hull(formula: str, answer: object, phases: Phases | None) -> tuple[object, str | None]:
    if isinstance(answer, Failure) or HULL not in cast(Predicted, answer):
        return answer, None
    placed = None if phases is None else above_hull(cast(Predicted, answer), formula, phases)
    return (answer, ESTIMATE) if placed is None or phases is None else (placed, phases.title)


def _matches(crystals: Mapping[str, Crystal], references: References, models: Models) -> dict[str, str | None]:
    """By formula the known structure that the crystal is, or that it is new; nothing where nobody can tell."""
    if not references.compared:
        return {}
    likely = {formula: _likely(formula, crystal, references) for formula, crystal in crystals.items()}
    asked = [formula for formula, known in likely.items() if known]
    questions = [
        Comparison(crystals[formula], tuple(Crystal.from_dict(one.crystal) for one in likely[formula]))
        for formula in asked
    ]
    places = dict(zip(asked, models.ask(MATCH, questions), strict=True))
    return {formula: _name(known, places.get(formula, -1)) for formula, known in likely.items()}


def _likely(formula: str, crystal: Crystal, references: References) -> list[KnownCrystal]:
    known = (references.known or {}).get(formula, ())
    return [known[i] for i in nearest_first(crystal, [one.volume_per_atom for one in known])]


def _name(known: Sequence[KnownCrystal], place: object) -> str | None:
    if isinstance(place, Failure):
        return None
    return known[cast(int, place)].name if cast(int, place) >= 0 else NEW
