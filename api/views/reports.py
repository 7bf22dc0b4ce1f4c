"""Reports: what a campaign found, for programs."""

from pydantic import BaseModel
from sqlalchemy.orm import Session

from api.results import read_results
from api.views.campaigns import CampaignStatus, read_status
from api.views.candidates import CandidateCard, card


class MeanEffect(BaseModel):
    """What a set of elements adds on average where all are present, in the property's unit."""

    elements: list[str]
    mean: float
    std: float
    count: int


class PropertySummary(BaseModel):
    """What the explanations of one property say together."""

    property: str
    index: str
    order: int
    players: str
    explained: int
    means: list[MeanEffect]


class CampaignReport(BaseModel):
    """A campaign at its end, or as far as it is."""

    campaign: CampaignStatus
    candidates: list[CandidateCard]
    interactions: list[PropertySummary]


def read_report(session: Session, campaign_id: int, top: int) -> CampaignReport:
    """The report with so many of the best candidates; raises NotFound."""
    status = read_status(session, campaign_id)
    results = read_results(session, campaign_id, top)
    return CampaignReport(
        campaign=status,
        candidates=[card(profile) for profile in results.best],
        interactions=[PropertySummary.model_validate(each, from_attributes=True) for each in results.summaries],
    )
