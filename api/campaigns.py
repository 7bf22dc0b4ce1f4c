"""`sluice campaign`."""

import sys
from dataclasses import asdict
from time import localtime, strftime
from typing import Any

import click
from sqlalchemy import Engine

from api.bad_lines import bad_lines
from api.connection import connected, opened, settings_for
from api.figure_files import Plot, figure_options
from api.formats import dumps
from api.lazy_group import load
from api.options import database_option, id_argument, json_option
from api.results import stage_json, stage_table
from api.runs import interruptible, run_to_end, write_results
from api.tables import plain_table, printed
from storage.campaigns import Campaign, list_campaigns, read_campaign
from storage.engine import reading
from storage.explanations import read_explanations
from storage.failures import count_failures
from storage.funnels import funnel
from storage.sources import source_counts
from storage.states import CampaignState
from workers.errors import UserError
from workers.summaries import summarise

SHOWN_FAILURES = 10


@click.group(epilog="\b\nExample: sluice campaign status 1")
def campaign() -> None:
    """List, watch, pause, resume and cancel campaigns."""


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
    table = plain_table("id", "name", "state", "seed", "created", "finished", right=("id", "seed"))
    for entry in campaigns:
        moments = (_moment(entry.created_at), _moment(entry.finished_at))
        table.add_row(str(entry.id), entry.name, entry.state, str(entry.seed), *moments)
    printed(table, sys.stdout)


@campaign.command(epilog="\b\nExample: sluice campaign status 1")
@id_argument
@json_option
@database_option
def status(campaign_id: int, as_json: bool, url: str | None) -> None:
    """How far each stage is, what became of its inputs, and the first failures."""
    with opened(url) as engine, reading(engine) as session:
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


@campaign.command(epilog="\b\nExample: sluice campaign report 1 --plot pairs.svg --figure periodic-table")
@id_argument
@figure_options("network", "bars", "periodic-table")
@json_option
@database_option
def report(campaign_id: int, plot: Plot | None, as_json: bool, url: str | None) -> None:
    """The ranked table once more, and what the explanations of its candidates say together."""
    settings = settings_for(url)
    with opened(url) as engine:
        if plot is not None:
            _plot(engine, campaign_id, plot)
        write_results(settings, engine, campaign_id, as_json)


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


def _moment(seconds: float | None) -> str:
    return "" if seconds is None else strftime("%Y-%m-%d %H:%M:%S", localtime(seconds))
