"""The report of a campaign: one document, written as HTML or Markdown."""

import re
from dataclasses import dataclass
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy.orm import Session

from api.report_figures import Figure, figures
from api.report_sheets import Sheet, candidates, costs, failures, funnel_sheet, models
from api.results import Results, read_results
from api.tables import moment
from storage.failures import count_failures
from storage.histories import (
    Ended,
    Reason,
    UsedModel,
    count_reasons,
    ended_chunks,
    read_scores,
    score_range,
    used_models,
)  # fmt: skip
from storage.ledgers import StageLedger, stage_ledgers

Format = Literal["html", "md"]
FORMATS: tuple[Format, ...] = ("html", "md")
REASONS = 20
BINS = 40
MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|!])")


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report tells: results, ledgers by stage, when chunks ended, the spread of scores, failures, models.

    Scores are the edges of equal bins and how many candidates lie in each.
    """

    results: Results
    ledgers: tuple[StageLedger, ...]
    ended: tuple[Ended, ...]
    scores: tuple[list[float], list[int]] | None
    reasons: tuple[Reason, ...]
    failed: int
    models: tuple[UsedModel, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """What is written: facts by name, figures, tables."""

    title: str
    facts: tuple[tuple[str, str], ...]
    figures: tuple[Figure, ...]
    sheets: tuple[Sheet, ...]


def read_report(session: Session, campaign_id: int) -> Report:
    """The report of a campaign as it stands; raises NotFound."""
    return Report(
        results=read_results(session, campaign_id),
        ledgers=tuple(stage_ledgers(session, campaign_id)),
        ended=tuple(ended_chunks(session, campaign_id)),
        scores=_histogram(session, campaign_id),
        reasons=tuple(count_reasons(session, campaign_id, REASONS)),
        failed=sum(count_failures(session, campaign_id).values()),
        models=tuple(used_models(session, campaign_id)),
    )


def document(report: Report, database: str) -> Document:
    """The report with its numbers as people read them."""
    results = report.results
    sheets = (
        funnel_sheet(results.stages, results.source),
        costs(report.ledgers, results.stages),
        failures(report.reasons, report.failed),
        models(report.models),
        candidates(results.best),
    )
    drawn = figures(results.stages, report.ended, report.scores)
    title = f"Campaign {results.campaign.id}: {results.campaign.name}"
    return Document(title, _facts(results, database), drawn, tuple(sheet for sheet in sheets if sheet.rows))


def render(written: Document, form: Format) -> str:
    """The document as text."""
    environment = Environment(
        loader=PackageLoader("api", "report_templates"), autoescape=form == "html", undefined=StrictUndefined
    )
    environment.filters["plain"] = plain_markdown
    return environment.get_template(f"report.{form}").render(document=written)


def plain_markdown(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return MARKDOWN.sub(r"\\\1", " ".join(text.split())).replace("&", "&amp;")


def _facts(results: Results, database: str) -> tuple[tuple[str, str], ...]:
    campaign = results.campaign
    facts = (
        ("state", campaign.state),
        ("created", moment(campaign.created_at)),
        ("finished", moment(campaign.finished_at)),
        ("seed", str(campaign.seed)),
        ("code", campaign.code_version),
        ("source", str(campaign.spec["source"]["kind"])),
        ("filter", str((campaign.spec.get("predict") or {}).get("where") or "")),
        ("score", str((campaign.spec.get("predict") or {}).get("score") or "")),
        ("database", database),
    )
    return tuple((name, value) for name, value in facts if value)


def _histogram(session: Session, campaign_id: int) -> tuple[list[float], list[int]] | None:
    found = score_range(session, campaign_id)
    if found is None:
        return None
    least, largest = found
    width = (largest - least or 1.0) / BINS
    counts = [0] * BINS
    for score in read_scores(session, campaign_id):
        counts[min(BINS - 1, int((score - least) / width))] += 1
    return [least + place * width for place in range(BINS + 1)], counts
