"""Models by the hash of their weights, and which campaign uses which."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.rows import add_rows
from storage.tables import CampaignModelTable, ModelTable


def record_model(session: Session, model_id: str, name: str, card: Mapping[str, Any]) -> None:
    """Make a model known; one that is known already stays as it is."""
    add_rows(session, ModelTable, [{"id": model_id, "name": name, "card": dict(card)}])


def campaign_models(session: Session, campaign_id: int) -> dict[str, str]:
    """The model id of each role in a campaign."""
    statement = select(CampaignModelTable.role, CampaignModelTable.model_id)
    rows = session.execute(statement.where(CampaignModelTable.campaign_id == campaign_id))
    return dict(rows.all())
