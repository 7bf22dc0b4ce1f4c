"""What is asked of a few formulas, and what comes back."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.views.candidates import ExplanationEntry, Predicted, StructureEntry, explanation_entry, predicted
from scheduler.spec import Drawing, Explaining
from storage.campaigns import FINAL, Campaign, read_campaign
from storage.errors import NotFound
from storage.failures import read_failures
from storage.profiles import Profile, read_profile
from storage.states import CampaignState
from workers.crystals import Crystal, to_structure

FEW = 100  # formulas of one request; a campaign takes more
FEW_CRYSTALS = 32
Formulas = Annotated[list[str], Field(min_length=1, max_length=FEW, examples=[["CsPbI3", "Ba1 Te1"]])]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class PredictWanted(BaseModel):
    """Properties of these formulas; the same one twice counts once."""

    model_config = ConfigDict(extra="forbid")

    formulas: Formulas
    model: str = "composition-predictor"
    predictors: list[str] = Field([], description="Of your own: what `sluice train predictor` keeps in the database.")


class GenerateWanted(Drawing):
    """Crystal structures of these formulas: so many are drawn of each, and those that are the same are merged."""

    formulas: Annotated[list[str], Field(min_length=1, max_length=FEW_CRYSTALS, examples=[["BaTe"]])]
    seed: Seed = 0
    structures: Annotated[int, Field(ge=1, le=FEW_CRYSTALS)] = 4
    relax_steps: Annotated[int, Field(ge=0, le=1000)] = 0


class ExplainWanted(Explaining):
    """What the elements of these formulas add to the prediction of a property."""

    formulas: Formulas
    seed: Seed = 0


class FormulaResult(BaseModel):
    """A formula, and why there is no result where there is none."""

    formula: str
    error: str | None


class FormulaPredictions(FormulaResult):
    """The predictions of a formula."""

    predictions: dict[str, Predicted]


class FoundStructure(StructureEntry):
    """A structure, as pymatgen's Structure.from_dict reads it."""

    structure: dict[str, Any]


class FormulaStructures(FormulaResult):
    """The structures of a formula, best first."""

    structures: list[FoundStructure]


class FormulaExplanations(FormulaResult):
    """The explanation of a formula's prediction."""

    explanations: list[ExplanationEntry]


Result = TypeVar("Result", bound=FormulaResult)


class Answer(BaseModel, Generic[Result]):
    """The campaign that answers, and once it has ended a result for each formula, in the order of the request."""

    campaign: int
    state: CampaignState
    results: list[Result] | None = Field(description="Null until the campaign has ended.")


def answer_of(kind: type[Result]) -> type[Answer[Result]]:
    """The answer with results of a kind."""
    return cast(type[Answer[Result]], Answer.__class_getitem__(kind))


def read_answer(session: Session, campaign_id: int, kind: type[Result]) -> Answer[Result]:
    """The answer as it stands; raises NotFound where the campaign was not made of a few formulas."""
    campaign = read_campaign(session, campaign_id)
    source = campaign.spec.get("source", {})
    if source.get("kind") != "list" or len(source["formulas"]) > FEW:
        raise NotFound("answer", campaign_id, f"/v1/campaigns/{campaign_id} shows what this campaign found")
    results = None
    if campaign.state in FINAL:
        results = [_result(session, campaign, formula, kind) for formula in source["formulas"]]
    return answer_of(kind)(campaign=campaign_id, state=campaign.state, results=results)


def _result(session: Session, campaign: Campaign, formula: str, kind: type[Result]) -> Result:
    name, parts = PARTS[kind]
    failures = read_failures(session, campaign.id, 1, formula)
    try:
        found: Any = parts(read_profile(session, formula, campaign.id))
    except NotFound:
        found = parts(None)
    error = failures[0].reason if failures else None if found else f"the campaign is {campaign.state}"
    return kind.model_validate({"formula": formula, name: found, "error": error})


def _predictions(profile: Profile | None) -> dict[str, Predicted]:
    return {} if profile is None else predicted(profile)


def _structures(profile: Profile | None) -> list[FoundStructure]:
    rows = () if profile is None else profile.structures
    return [FoundStructure.model_validate(row | {"structure": _as_dict(row["crystal"])}) for row in rows]


def _explanations(profile: Profile | None) -> list[ExplanationEntry]:
    return [] if profile is None else [explanation_entry(row) for row in profile.explanations]


def _as_dict(crystal: Mapping[str, Any]) -> dict[str, Any]:
    return dict(to_structure(Crystal.from_dict(crystal)).as_dict())


PARTS: Mapping[type[BaseModel], tuple[str, Callable[[Profile | None], Any]]] = {
    FormulaPredictions: ("predictions", _predictions),
    FormulaStructures: ("structures", _structures),
    FormulaExplanations: ("explanations", _explanations),
}
