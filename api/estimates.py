"""When a campaign will be done, as far as its pace and that of earlier ones tell."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from api.progress import Pace
from scheduler.flow import UPSTREAM, streams
from storage.campaigns import list_campaigns
from storage.funnels import funnel
from storage.states import CampaignState, StageName

Rates = Mapping[StageName, float]


def earlier_rates(session: Session) -> Rates:
    """Inputs per second of each stage in the last campaign of this database that is done."""
    done = [campaign for campaign in list_campaigns(session) if campaign.state == CampaignState.DONE]
    reports = funnel(session, done[-1].id) if done else []
    return {report.name: report.rate for report in reports if report.rate}


def seconds_left(paces: Sequence[Pace], spec: Mapping[str, Any], earlier: Rates) -> float | None:
    """Seconds until the last stage closes; None while some stage has neither a pace of its own nor an earlier one."""
    expected = expected_totals(paces, spec)
    ends: dict[StageName | None, float] = {None: 0.0}
    for pace in paces:
        rate, total = pace.rate or earlier.get(pace.name), expected[pace.name]
        if not pace.closed and (total is None or (total > pace.done and not rate)):
            return None
        own = 0.0 if pace.closed or not rate or total is None else max(0.0, total - pace.done) / rate
        before = ends[UPSTREAM[pace.name]]
        # A stage that streams works beside the one before it; another one waits for its end.
        ends[pace.name] = max(before, own) if streams(spec, pace.name) else before + own
    return max(ends.values())


def expected_totals(paces: Sequence[Pace], spec: Mapping[str, Any]) -> dict[StageName, float | None]:
    """How many inputs each stage will have, as the share of survivors so far says where it is not known."""
    totals: dict[StageName, float | None] = {}
    by_name: dict[StageName | None, Pace] = {pace.name: pace for pace in paces}
    for pace in paces:
        upstream, known = by_name.get(UPSTREAM[pace.name]), pace.total
        if known is None and upstream is not None:
            totals[pace.name] = _survivors(upstream, totals[upstream.name], spec, pace.name)
        else:
            totals[pace.name] = known
    return totals


def _survivors(upstream: Pace, total: float | None, spec: Mapping[str, Any], stage: StageName) -> float | None:
    if total is None or upstream.done == 0:
        return None
    top = (spec.get(stage) or {}).get("top")
    expected = total * upstream.survived / upstream.done
    return expected if top is None else min(expected, top)
