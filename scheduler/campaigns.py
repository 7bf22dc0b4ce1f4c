"""Campaigns: created before any worker starts, paused, resumed, cancelled."""

import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from scheduler.errors import CampaignStands, InvalidSpec, OtherModels
from scheduler.flow import KINDS, Role, own_role
from scheduler.sources import check_source
from scheduler.spec import CampaignSpec, model_names, roles_of, stages_of
from storage.campaigns import Campaign, NewCampaign, move_campaign, read_campaign, set_priority
from storage.campaigns import create_campaign as store_campaign
from storage.engine import reading, transaction
from storage.idempotency import Once, remember, remembered
from storage.models import campaign_models, find_stored, record_model, stored_cards
from storage.moves import cancel_chunks
from storage.references import ReferenceSet, named_sets, use_sets
from storage.states import CampaignState
from workers.cards import Card, card_json
from workers.errors import CheckpointError
from workers.models import find_card


def create_campaign(engine: Engine, spec: CampaignSpec, once: Once | None = None) -> int:
    """Check the source and the models, store the campaign with all that decides its results, and return its id.

    A request that is to count once gives the campaign that it gave before. Raises UserError for a source or a model
    that cannot be used, and KeyTaken.
    """
    if once is not None and (known := _remembered(engine, once)) is not None:
        return known
    size = check_source(spec.source)
    cards = model_cards(spec)
    with transaction(engine) as session:
        roles = [*cards.items(), *_own_cards(session, spec).items()]
        for _, card in roles:
            record_model(session, card.model_id, card.name, card_json(card))
        new = NewCampaign(
            name=spec.name,
            spec=spec.model_dump(mode="json"),
            seed=spec.seed,
            code_version=code_version(),
            stages=stages_of(spec),
            source_size=size,
            models=tuple((role, card.model_id) for role, card in roles),
        )
        campaign_id = store_campaign(session, new, time.time())
        use_sets(session, campaign_id, _reference_sets(session, spec))
        if once is None or remember(session, once, campaign_id):
            return campaign_id
        session.rollback()  # the same request came twice at once, and the other one was first
    return create_campaign(engine, spec, once)


def model_cards(spec: CampaignSpec) -> dict[Role, Card]:
    """The cards of the models that the spec's stages need; raises InvalidSpec."""
    names = model_names(spec)
    return {role: _card_for(role, names[role]) for role in roles_of(spec)}


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


def weigh_campaign(engine: Engine, campaign_id: int, priority: int) -> Campaign:
    """Give a campaign another share of the work, from the next chunk on; raises NotFound, CampaignStands."""
    with transaction(engine) as session:
        campaign = read_campaign(session, campaign_id)
        if not set_priority(session, campaign_id, priority):
            raise CampaignStands(campaign_id, campaign.state, f"one of priority {priority}")
        return read_campaign(session, campaign_id)


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


def _remembered(engine: Engine, once: Once) -> int | None:
    with reading(engine) as session:
        return remembered(session, once)


def _own_cards(session: Session, spec: CampaignSpec) -> dict[str, Card]:
    """By role the cards of the predictors that the database keeps; raises InvalidSpec."""
    found = {}
    for name in spec.predict.predictors:
        card = find_stored(session, name)
        if card is None:
            own = ", ".join(card.name for card in stored_cards(session)) or "it has none"
            problem = f"predict.predictors: {name!r} is no predictor of this database ({own})"
            raise InvalidSpec(f"{problem}; `sluice train predictor` makes one")
        found[own_role(name)] = card
    return found


def _reference_sets(session: Session, spec: CampaignSpec) -> list[ReferenceSet]:
    """The sets that a spec names, in its order, or all that have names; raises InvalidSpec."""
    there = {str(held.name): held for held in named_sets(session)}
    names = list(there) if spec.judge.references is None else spec.judge.references
    if missing := [name for name in names if name not in there]:
        kept = ", ".join(there) or "it has none"
        problem = f"judge.references: {missing[0]!r} is no set of this database ({kept})"
        raise InvalidSpec(f"{problem}; `sluice data import` makes one")
    return [there[name] for name in dict.fromkeys(names)]
