"""/v1/predict, /v1/generate and /v1/explain: a few formulas, each request a campaign of one chunk a stage."""

import time
from dataclasses import replace
from typing import Annotated, Any

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Response

from api.access import Caller, MayRead, MayRun
from api.idempotency import IdempotencyKey, once
from api.parameters import CampaignId
from api.problems import problems
from api.service import Reading, Service, Serving
from api.spec_bodies import checked
from api.views.tasks import (
    Answer,
    ExplainWanted,
    FormulaExplanations,
    FormulaPredictions,
    FormulaStructures,
    GenerateWanted,
    PredictWanted,
    Result,
    read_answer,
)
from scheduler.campaigns import create_campaign
from scheduler.spec import CampaignSpec, ExplainStage, parse_spec
from storage.engine import reading
from workers.compositions import parse_formula
from workers.explanations import Question, check_question, order_within, player_names

router = APIRouter(prefix="/v1", tags=["formulas"])
LONGEST_WAIT = 300.0
LOOK_SECONDS = 0.1
Wait = Annotated[
    float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for the results before answering 202.")
]
LATER: dict[int | str, dict[str, Any]] = {
    202: {"description": "The campaign has begun and its results are to come; Location is the campaign."}
}
POSTED: dict[str, Any] = {"responses": LATER | problems(400, 409, 413)}


@router.post("/predict", summary="Predict properties of formulas", **POSTED)
async def predict(
    caller: MayRun,
    wanted: PredictWanted,
    service: Serving,
    response: Response,
    wait: Wait = 0,
    key: IdempotencyKey = None,
) -> Answer[FormulaPredictions]:
    """Properties with standard deviations, from the composition alone."""
    stage = wanted.model_dump(exclude={"formulas"})
    campaign_id = await _begun(service, caller, key, _spec("predict", wanted.formulas, predict=stage))
    return await _answered(service, campaign_id, FormulaPredictions, wait, response)


@router.post("/generate", summary="Generate crystal structures of formulas", **POSTED)
async def generate(
    caller: MayRun,
    wanted: GenerateWanted,
    service: Serving,
    response: Response,
    wait: Wait = 0,
    key: IdempotencyKey = None,
) -> Answer[FormulaStructures]:
    """Crystal structures, best first; `copies` counts the samples that gave the same."""
    csp = wanted.model_dump(exclude={"formulas", "seed"})
    campaign_id = await _begun(service, caller, key, _spec("generate", wanted.formulas, wanted.seed, csp=csp))
    return await _answered(service, campaign_id, FormulaStructures, wait, response)


@router.post("/explain", summary="Explain predictions of formulas", **POSTED)
async def explain(
    caller: MayRun,
    wanted: ExplainWanted,
    service: Serving,
    response: Response,
    wait: Wait = 0,
    key: IdempotencyKey = None,
) -> Answer[FormulaExplanations]:
    """What each element, and each set of them, adds to a prediction; baseline plus all of them is the prediction."""
    stage = wanted.model_dump(exclude={"formulas", "seed"}) | {"top": len(wanted.formulas)}
    spec = _spec("explain", wanted.formulas, wanted.seed, explain=stage)
    _check_questions(spec)
    campaign_id = await _begun(service, caller, key, spec)
    return await _answered(service, campaign_id, FormulaExplanations, wait, response)


@router.get("/predict/{id}", summary="Predictions that were asked for", responses=problems(404))
def predictions(caller: MayRead, campaign_id: CampaignId, session: Reading) -> Answer[FormulaPredictions]:
    """The predictions of a campaign of a few formulas, once it has ended."""
    return read_answer(session, campaign_id, FormulaPredictions)


@router.get("/generate/{id}", summary="Structures that were asked for", responses=problems(404))
def structures(caller: MayRead, campaign_id: CampaignId, session: Reading) -> Answer[FormulaStructures]:
    """The structures of a campaign of a few formulas, once it has ended."""
    return read_answer(session, campaign_id, FormulaStructures)


@router.get("/explain/{id}", summary="Explanations that were asked for", responses=problems(404))
def explanations(caller: MayRead, campaign_id: CampaignId, session: Reading) -> Answer[FormulaExplanations]:
    """The explanations of a campaign of a few formulas, once it has ended."""
    return read_answer(session, campaign_id, FormulaExplanations)


def _spec(name: str, formulas: list[str], seed: int = 0, **tables: dict[str, Any]) -> CampaignSpec:
    source = {"kind": "list", "formulas": formulas}
    return checked(parse_spec({"name": name, "seed": seed, "source": source, **tables}, name))


def _check_questions(spec: CampaignSpec) -> None:
    """Raise InvalidQuestion for what would only fail later."""
    stage = spec.explain or ExplainStage()
    for formula in spec.source.formulas:  # type: ignore[union-attr]
        question = Question(stage.property, stage.index, stage.order, stage.players, stage.budget, spec.seed)
        players = player_names(parse_formula(formula).elements, stage.players)
        check_question(replace(question, order=order_within(question, len(players))), formula)


async def _begun(service: Service, caller: Caller, key: str | None, spec: CampaignSpec) -> int:
    return await run_sync(create_campaign, service.engine, spec, once(caller, key, spec))


async def _answered(
    service: Service, campaign_id: int, kind: type[Result], wait: float, response: Response
) -> Answer[Result]:
    """The answer once the campaign has ended, or as it is when the wait is over."""
    ends = time.monotonic() + wait
    while (answer := await run_sync(_look, service, campaign_id, kind)).results is None and time.monotonic() < ends:
        await anyio.sleep(LOOK_SECONDS)
    response.headers["Location"] = f"/v1/campaigns/{campaign_id}"
    response.status_code = 200 if answer.results is not None else 202
    return answer


def _look(service: Service, campaign_id: int, kind: type[Result]) -> Answer[Result]:
    with reading(service.engine) as session:
        return read_answer(session, campaign_id, kind)
