"""/v1/models: the models and their cards."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.access import MayRead
from api.problems import problems
from api.service import Reading
from storage.errors import NotFound
from storage.models import stored_cards
from workers.cards import pretrained_cards

router = APIRouter(prefix="/v1/models", tags=["models"])


class ModelCard(BaseModel):
    """What a model is, where it comes from, how good it is."""

    name: str
    kind: str
    model_id: str = Field(description="The sha256 of its weights.")
    properties: list[str]
    config: dict[str, Any]
    tile: int
    data: str
    licence: str
    held_out: str
    metrics: dict[str, Any]
    seed: int
    hardware: str
    seconds: float
    command: str
    notes: str


@router.get("", summary="List models", responses=problems())
def listed(caller: MayRead, session: Reading) -> list[ModelCard]:
    """All models with their whole cards: those that are shipped, then those that users trained or brought."""
    cards = (*pretrained_cards(), *stored_cards(session))
    return [ModelCard.model_validate(card, from_attributes=True) for card in cards]


@router.get("/{name}", summary="A model's card", responses=problems(404))
def one(caller: MayRead, name: str, session: Reading) -> ModelCard:
    """What a model is, what was held out of its training, and what was measured."""
    found = [card for card in listed(caller, session) if card.name == name]
    if not found:
        raise NotFound("model", name, "/v1/models lists all")
    return found[0]
