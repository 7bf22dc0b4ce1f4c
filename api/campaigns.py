"""`sluice campaign`."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine

from api.bad_lines import bad_lines
from api.connection import connected, opened, settings_for
from api.figure_files import Plot, figure_options
from api.formats import dumps
from api.lazy_group import load
from api.options import database_option, id_argument, json_option
from api.outputs import text_output
from api.results import stage_json, stage_table
from api.runs import interruptible, run_to_end, watch, write_results
from api.tables import moment, plain_table, printed
from storage.campaigns import Campaign, list_campaigns, read_campaign
from storage.engine import describe, reading
from storage.explanations import read_explanations
from storage.failures import count_failures
from storage.funnels import funnel
from storage.sources import source_counts
from storage.states import MOST_PRIORITY, CampaignState
from workers.errors import UserError
from workers.summaries import summarise

FORMATS = ("html", "md")
SHOWN_FAILURES = 10


@click.group(epilog="\b\nExample: sluice campaign status 1")
def campaign() -> None:
    """List, watch, pause, resume, weigh, cancel and report campaigns."""


@campaign.command("list", epilog="\b\nExample: sluice campaign list --json")
@json_option
@database_option
def list_command(as_json: bool, url: str | None) -> None:
    """All campaigns of the database, oldest first."""
    with opened(url) as engine, reading(engine) as session:
        campaigns = list_campaigns(session)
    if as_json:
        click.echo(dumps([_json(entry) for entry in campaigns], indent=2))
        return
    headings = ("id", "name", "state", "priority", "seed", "created", "finished")
    table = plain_table(*headings, right=("id", "priority", "seed"))
    for entry in campaigns:
        moments = (moment(entry.created_at), moment(entry.finished_at))
        table.add_row(str(entry.id), entry.name, entry.state, str(entry.priority), str(entry.seed), *moments)
    printed(table, sys.stdout)


@campaign.command(epilog="\b\nExample: sluice campaign status 1")
@id_argument
@click.option("--watch", "watched", is_flag=True, help="Go on showing it, with the time left, until it runs no more.")
@json_option
@database_option
def status(campaign_id: int, watched: bool, as_json: bool, url: str | None) -> None:
    """How far each stage is, what became of its inputs, and the first failures."""
    with opened(url) as engine:
        if watched:
            watch(engine, campaign_id)
        _status(engine, campaign_id, as_json)


def _status(engine: Engine, campaign_id: int, as_json: bool) -> None:
    with reading(engine) as session:
        entry = read_campaign(session, campaign_id)
        reports, source = funnel(session, campaign_id), source_counts(session, campaign_id)
        lines, counts = bad_lines(session, campaign_id, SHOWN_FAILURES), count_failures(session, campaign_id)
    if as_json:
        stages = [stage_json(report) for report in reports]
        click.echo(dumps(_json(entry) | {"source": asdict(source), "stages": stages, "failures": counts}, indent=2))
        return
    click.echo(f"campaign {entry.id} ({entry.name}) is {entry.state}")
    printed(stage_table(reports, source), sys.stdout)
    for line in lines:
        click.echo(line)


@campaign.command(epilog="\b\nExample: sluice campaign pause 1")
@id_argument
@database_option
def pause(campaign_id: int, url: str | None) -> None:
    """Let chunks under way end and start no others."""
    with opened(url) as engine:
        _move(engine, campaign_id, CampaignState.PAUSED, "scheduler.campaigns:pause_campaign")


@campaign.command(epilog="\b\nExample: sluice campaign priority 1 20")
@id_argument
@click.argument("number", metavar="N", type=click.IntRange(1, MOST_PRIORITY))
@database_option
def priority(campaign_id: int, number: int, url: str | None) -> None:
    """Give a campaign another share of the work: of two, one with twice the N gets twice the chunks. N is 1 to 100, and
    10 unless told."""
    with opened(url) as engine:
        entry = load("scheduler.campaigns:weigh_campaign")(engine, campaign_id, number)
    click.echo(f"campaign {campaign_id} has priority {entry.priority}", err=True)


@campaign.command(epilog="\b\nExample: sluice campaign cancel 1")
@id_argument
@database_option
def cancel(campaign_id: int, url: str | None) -> None:
    """End a campaign for good; what it found stays."""
    with opened(url) as engine:
        _move(engine, campaign_id, CampaignState.CANCELLED, "scheduler.campaigns:cancel_campaign")


@campaign.command(epilog="\b\nExample: sluice campaign resume 1")
@id_argument
@json_option
@database_option
def resume(campaign_id: int, as_json: bool, url: str | None) -> None:
    """Run a campaign on to its end, wherever it was paused, stopped or killed."""
    settings = settings_for(url)
    with connected(settings) as engine:
        entry = load("scheduler.campaigns:resume_campaign")(engine, campaign_id)
        if entry.state == CampaignState.DONE:
            click.echo(f"campaign {campaign_id} is done already", err=True)
            write_results(settings, engine, campaign_id, as_json)
            return
        with interruptible(settings, campaign_id):
            run_to_end(settings, engine, entry, as_json)


@campaign.command(
    epilog="\b\nExample: sluice campaign report 1 --format html --out report.html"
    "\n         sluice campaign report 1 --plot pairs.svg --figure periodic-table"
)
@id_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Write a document with figures: funnel, rates, failures, cost, models, the best candidates.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to write it; else stdout.")
@figure_options("network", "bars", "periodic-table")
@json_option
@database_option
def report(campaign_id: int, plot: Plot | None, as_json: bool, url: str | None, **wanted: Any) -> None:
    """The ranked table once more, and what the explanations of its candidates say together; or a document."""
    if wanted["out"] is not None and wanted["form"] is None:
        raise click.UsageError(f"--out {wanted['out']} needs --format {' or '.join(FORMATS)}")
    settings = settings_for(url)
    with opened(url) as engine:
        if plot is not None:
            _plot(engine, campaign_id, plot)
        if wanted["form"] is None:
            write_results(settings, engine, campaign_id, as_json)
        else:
            _write_document(engine, campaign_id, **wanted)


def _write_document(engine: Engine, campaign_id: int, form: str, out: Path | None) -> None:
    with reading(engine) as session:
        found = load("api.reports:read_report")(session, campaign_id)
    text = load("api.reports:render")(load("api.reports:document")(found, describe(engine)), form)
    with text_output(out) as file:
        file.write(text)


def _plot(engine: Engine, campaign_id: int, plot: Plot) -> None:
    with reading(engine) as session:
        read_campaign(session, campaign_id)
        summaries = summarise(read_explanations(session, campaign_id))
    if not summaries:
        raise UserError(
            f"--plot {plot.path}: campaign {campaign_id} has no explanations; a spec's [explain] makes them"
        )
    load("api.figures:plot_summary")(summaries[0], plot)


def _move(engine: Engine, campaign_id: int, to: CampaignState, path: str) -> None:
    with reading(engine) as session:
        already = read_campaign(session, campaign_id).state == to
    if not already:
        load(path)(engine, campaign_id)
    click.echo(f"campaign {campaign_id} is {to}{' already' if already else ''}", err=True)


def _json(entry: Campaign) -> dict[str, Any]:
    return asdict(entry)
