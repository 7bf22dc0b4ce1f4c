"""What a campaign found: the best candidates, the counts of each stage, where it is kept and what to try next."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from sqlalchemy.orm import Session

from api.mean_interactions import mean_interactions
from api.numbers import UNKNOWN, counted, duration, group_symbol, measured
from api.reasons import main_reason
from api.tables import heading, plain_table
from storage.campaigns import Campaign, read_campaign
from storage.explanations import read_explanations
from storage.funnels import ENDS, StageReport, funnel
from storage.profiles import Profile, read_profile
from storage.queries import Query, query
from storage.sources import SourceCounts, source_counts
from storage.states import StageName
from workers.properties import structure_name
from workers.summaries import Summary, summarise

RANKED = 10


@dataclass(frozen=True, slots=True)
class Results:
    """A campaign at its end, or as far as it is; the profiles are the best candidates by score, the summaries those of
    all its explanations."""

    campaign: Campaign
    source: SourceCounts
    stages: tuple[StageReport, ...]
    best: tuple[Profile, ...]
    summaries: tuple[Summary, ...]


def read_results(session: Session, campaign_id: int, limit: int = RANKED) -> Results:
    """The results as they stand; raises NotFound."""
    rows = query(session, Query(campaign_id=campaign_id, limit=limit))
    return Results(
        campaign=read_campaign(session, campaign_id),
        source=source_counts(session, campaign_id),
        stages=tuple(funnel(session, campaign_id)),
        best=tuple(read_profile(session, row["formula"], campaign_id) for row in rows),
        summaries=summarise(read_explanations(session, campaign_id)),
    )


def results_view(results: Results, database: str, words: Sequence[str]) -> Group:
    """Results for people; `words` name the database to the next commands."""
    parts: list[RenderableType] = [_ranking(results.best)] if results.best else [Text("no candidate survived")]
    parts += [part for summary in results.summaries for part in (Text(), mean_interactions(summary))]
    parts += [Text(), stage_table(results.stages, results.source), Text()]
    parts += [Text(f"campaign {results.campaign.id} is {results.campaign.state}, kept in {database}; try next:")]
    return Group(*parts, *(Text(f"  {line}") for line in next_commands(results, words)))


def results_json(results: Results, database: str) -> dict[str, Any]:
    """Results for programs."""
    return {
        "campaign": results.campaign.id,
        "name": results.campaign.name,
        "state": results.campaign.state,
        "seed": results.campaign.seed,
        "database": database,
        "source": asdict(results.source),
        "stages": [stage_json(report) for report in results.stages],
        "candidates": [asdict(profile) | {"main_reason": reason_of(profile)} for profile in results.best],
        "interactions": [asdict(summary) for summary in results.summaries],
    }


def stage_json(report: StageReport) -> dict[str, Any]:
    """A stage for programs: whether it is closed, how its inputs ended, inputs per second."""
    return {"stage": report.name, "closed": report.closed, **asdict(report.counts), "rate": report.rate}


def stage_table(stages: Sequence[StageReport], source: SourceCounts) -> Table:
    """How the inputs of each stage ended; a file's bad and repeated lines stand in a line of their own."""
    table = plain_table("stage", *ENDS, "time", "inputs/s", right=(*ENDS, "time", "inputs/s"))
    if source.input:
        table.add_row("source", *(counted(n) for n in (source.input, source.unique, 0, source.duplicate)),
                      counted(source.invalid), "0", "", "")  # fmt: skip
    for report in stages:
        counts = asdict(report.counts)
        rate = "" if report.rate is None else f"{report.rate:,.1f}"
        table.add_row(report.name, *(counted(counts[end]) for end in ENDS), _time(report), rate)
    return table


def reason_of(profile: Profile) -> str | None:
    """The strongest interaction in words, else the reason of the verdict."""
    return main_reason(profile.explanations[0]) if profile.explanations else profile.reason


def next_commands(results: Results, words: Sequence[str]) -> list[str]:
    """Three commands worth typing now."""
    key, suffix = results.campaign.id, "".join(f" {word}" for word in words)
    formula = results.best[0].formula if results.best else "FORMULA"
    return [
        f"sluice show {formula}{suffix}",
        f"sluice query '{_next_filter(results)}' --campaign {key}{suffix}",
        f"sluice query --campaign {key} --format cif --out crystals-{key}{suffix}",
    ]


def _next_filter(results: Results) -> str:
    confirmed = any(report.name == StageName.JUDGE and report.counts.survived for report in results.stages)
    return 'verdict = "confirmed"' if confirmed else "e_above_hull <= 0.05 AND nelements <= 3"


def _ranking(best: Sequence[Profile]) -> Table:
    """Two lines for each candidate: from composition and group, from structure and verdict."""
    names = list(dict.fromkeys(name for profile in best for name in profile.predictions if name == _plain(name)))
    table = plain_table("#", "formula")
    for name in names:
        table.add_column(heading(name).replace("_", " "), justify="right")
    table.add_column("space group\nverdict", no_wrap=True)
    table.add_column("main reason", min_width=16)
    for number, profile in enumerate(best, 1):
        first = (group_symbol(profile.space_group), reason_of(profile) or UNKNOWN)
        table.add_row(str(number), profile.formula, *_values(profile, names), *first)
        if profile.structures:
            judged = _values(profile, [structure_name(name) for name in names])
            table.add_row("", "  structure", *judged, profile.verdict or UNKNOWN, "")
    return table


def _plain(name: str) -> str:
    return name.removeprefix(structure_name(""))


def _values(profile: Profile, names: Sequence[str]) -> list[str]:
    return [measured(name, *profile.predictions.get(name, (None, None))) for name in names]


def _time(report: StageReport) -> str:
    if report.first_at is None or report.last_at is None:
        return ""
    return duration(report.last_at - report.first_at)
