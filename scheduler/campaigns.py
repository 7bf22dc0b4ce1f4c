"""Campaigns: created before any worker starts, paused, resumed, cancelled."""

import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from scheduler.errors import CampaignStands, InvalidSpec, OtherModels
from scheduler.flow import KINDS, ROLES, Role
from scheduler.sources import check_source
from scheduler.spec import CampaignSpec, model_names, stages_of
from storage.campaigns import Campaign, NewCampaign, move_campaign, read_campaign
from storage.campaigns import create_campaign as store_campaign
from storage.engine import reading, transaction
from storage.models import campaign_models, record_model
from storage.moves import cancel_chunks
from storage.states import CampaignState
from workers.cards import Card
from workers.errors import CheckpointError
from workers.models import find_card


def create_campaign(engine: Engine, spec: CampaignSpec) -> int:
    """Check the source and the models, store the campaign with all that decides its results, and return its id.

    Raises UserError for a source or a model that cannot be used.
    """
    size = check_source(spec.source)
    cards = model_cards(spec)
    with transaction(engine) as session:
        for card in cards.values():
            record_model(session, card.model_id, card.name, _as_json(card))
        new = NewCampaign(
            name=spec.name,
            spec=spec.model_dump(mode="json"),
            seed=spec.seed,
            code_version=code_version(),
            stages=stages_of(spec),
            source_size=size,
            models=tuple((role, card.model_id) for role, card in cards.items()),
        )
        return store_campaign(session, new, time.time())


def model_cards(spec: CampaignSpec) -> dict[Role, Card]:
    """The cards of the models that the spec's stages need; raises InvalidSpec."""
    names = model_names(spec)
    needed = dict.fromkeys(role for stage in stages_of(spec) for role in ROLES[stage])
    return {role: _card_for(role, names[role]) for role in needed}


def check_models(engine: Engine, campaign: Campaign) -> None:
    """Raise OtherModels where the weights are not those with which the campaign began."""
    with reading(engine) as session:
        began = campaign_models(session, campaign.id)
    for role, card in model_cards(CampaignSpec.model_validate(campaign.spec)).items():
        if began[role] != card.model_id:
            raise OtherModels(campaign.id, card.name, began[role], card.model_id)


def _card_for(role: Role, name: str) -> Card:
    try:
        card = find_card(name)
    except CheckpointError as exc:
        raise InvalidSpec(f"model {name!r}: {exc}") from exc
    if card.kind not in KINDS[role]:
        raise InvalidSpec(f"model {name!r} is a {card.kind}; a {' or '.join(KINDS[role])} is expected")
    return card


def pause_campaign(engine: Engine, campaign_id: int) -> Campaign:
    """Let what runs end, and begin nothing new; raises NotFound, CampaignStands."""
    return _moved(engine, campaign_id, CampaignState.PAUSED)


def resume_campaign(engine: Engine, campaign_id: int) -> Campaign:
    """Let a campaign go on; one that runs or is done stays as it is. Raises NotFound, CampaignStands."""
    with reading(engine) as session:
        campaign = read_campaign(session, campaign_id)
    if campaign.state in (CampaignState.RUNNING, CampaignState.DONE):
        return campaign
    return _moved(engine, campaign_id, CampaignState.RUNNING)


def cancel_campaign(engine: Engine, campaign_id: int) -> Campaign:
    """End a campaign for good; what it found is kept. Raises NotFound, CampaignStands."""
    return _moved(engine, campaign_id, CampaignState.CANCELLED)


def code_version() -> str:
    """The version of this code: the distribution's, with the git commit where it runs from a checkout."""
    try:
        number = version("sluice")
    except PackageNotFoundError:
        number = "unknown"
    root = Path(__file__).parent.parent
    command = ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        commit = ""
    return f"{number}+{commit}" if commit and (root / ".git").exists() else number


def _moved(engine: Engine, campaign_id: int, to: CampaignState) -> Campaign:
    with transaction(engine) as session:
        campaign = read_campaign(session, campaign_id)
        if not move_campaign(session, campaign_id, to, time.time()):
            raise CampaignStands(campaign_id, campaign.state, to)
        _settle(session, campaign_id, to)
        return read_campaign(session, campaign_id)


def _settle(session: Session, campaign_id: int, to: CampaignState) -> None:
    if to == CampaignState.CANCELLED:
        cancel_chunks(session, campaign_id)


def _as_json(card: Card) -> dict[str, object]:
    fields = {name: getattr(card, name) for name in Card.__slots__}
    return {**fields, "properties": list(card.properties)}
