"""Candidates as programs see them."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from api.results import reason_of
from storage.candidates import BUILT_IN, STD
from storage.profiles import Profile
from storage.states import StageName
from workers.properties import REGISTRY, STRUCTURE_PREFIX, unit_of

_COMPARED, _ELSE = "A reference", ", or `new`; null where nothing was compared."
_HULL = "The set of references whose hull `structure_e_above_hull` is above, or `estimate`: the model's own phases."


class CandidateCore(BaseModel):
    """A candidate: predictions by property, each beside its standard deviation; properties that users added follow."""

    model_config = ConfigDict(extra="allow")

    id: int
    campaign: int
    formula: str
    nelements: int
    space_group: int | None = Field(description="Of the best structure, by international number.")
    verdict: str | None
    reason: str | None
    score: float | None
    known_composition: str | None = Field(default=None, description=f"{_COMPARED} of this composition{_ELSE}")
    known_structure: str | None = Field(default=None, description=f"{_COMPARED} of this structure{_ELSE}")
    hull_references: str | None = Field(default=None, description=_HULL)


def _described(name: str) -> str:
    base = name.removesuffix(STD)
    what = REGISTRY[base.removeprefix(STRUCTURE_PREFIX)].description
    whence = "from the structure" if base.startswith(STRUCTURE_PREFIX) else "from the composition"
    deviation = ", standard deviation" if name.endswith(STD) else ""
    return f"{what[:1].upper()}{what[1:]}, {whence}{deviation}, in {unit_of(base)}."


_PROPERTIES: dict[str, Any] = {
    key: (float | None, Field(default=None, description=_described(key)))
    for name in BUILT_IN
    for key in (name, name + STD)
}
CandidateRow = create_model("CandidateRow", __base__=CandidateCore, __doc__=CandidateCore.__doc__, **_PROPERTIES)


class Total(BaseModel):
    """How many candidates a filter selects: exactly, or as a sample lets one guess."""

    number: int
    exact: bool


class CandidatePage(BaseModel):
    """Candidates in the order asked for, and the cursor of the next page."""

    data: list[CandidateRow]  # type: ignore[valid-type]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")
    total: Total | None = Field(description="Null unless asked for with `count=true`.")


class Predicted(BaseModel):
    """A prediction."""

    value: float
    std: float | None
    unit: str


class StructureEntry(BaseModel):
    """A structure of a candidate; rank 0 is the best, copies counts samples that gave the same."""

    rank: int
    space_group: int | None
    nsites: int
    energy_per_atom: float | None = Field(description="In eV/atom.")
    log_likelihood: float | None
    relaxed: bool
    copies: int
    flaw: str | None


class Interaction(BaseModel):
    """What a set of players adds to a prediction, in the property's unit; an estimate has a standard error."""

    players: list[str]
    value: float
    error: float | None


class ExplanationEntry(BaseModel):
    """A prediction as a baseline and what sets of elements add to it."""

    property: str
    index: str
    order: int
    players: str
    baseline: float
    value: float
    budget: int | None = Field(description="Coalitions that an estimate was drawn from; null where it is exact.")
    interactions: list[Interaction]


class FailureEntry(BaseModel):
    """Why a stage had no result for a formula."""

    stage: StageName
    kind: str
    reason: str


class CandidateCard(BaseModel):
    """Everything known of a candidate; structures themselves are at `structure`."""

    id: int
    campaign: int
    formula: str
    elements: list[str]
    score: float | None
    verdict: str | None
    reason: str | None
    main_reason: str | None = Field(description="The strongest interaction in words, else the verdict's reason.")
    space_group: int | None
    known_composition: str | None
    known_structure: str | None
    hull: dict[str, str | None] | None = Field(
        description="Whose phases `structure_e_above_hull` is above, at which level of theory, by which model."
    )
    predictions: dict[str, Predicted]
    structures: list[StructureEntry]
    explanations: list[ExplanationEntry]
    failures: list[FailureEntry]


def card(profile: Profile) -> CandidateCard:
    """The card of a stored candidate."""
    names = ("id", "formula", "score", "verdict", "reason", "space_group", "known_composition", "known_structure")
    same = {name: getattr(profile, name) for name in (*names, "hull")}
    return CandidateCard(
        **same,
        campaign=profile.campaign_id,
        elements=list(profile.elements),
        main_reason=reason_of(profile),
        predictions=predicted(profile),
        structures=[StructureEntry.model_validate(row) for row in profile.structures],
        explanations=[explanation_entry(row) for row in profile.explanations],
        failures=[FailureEntry.model_validate(row, from_attributes=True) for row in profile.failures],
    )


def predicted(profile: Profile) -> dict[str, Predicted]:
    """The predictions of a candidate with their units."""
    values = profile.predictions.items()
    return {name: Predicted(value=value, std=std, unit=unit_of(name)) for name, (value, std) in values}


def explanation_entry(row: Mapping[str, Any]) -> ExplanationEntry:
    """A stored explanation."""
    errors = row["errors"] or [None] * len(row["interactions"])
    interactions = [
        Interaction(players=list(players), value=value, error=error)
        for (players, value), error in zip(row["interactions"], errors, strict=True)
    ]
    return ExplanationEntry(**{**row, "interactions": interactions})
