"""Running a campaign to its end before people's eyes."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic, sleep

import click
from sqlalchemy import Engine

from api.bad_lines import bad_lines
from api.connection import database_words
from api.estimates import earlier_rates, seconds_left
from api.formats import dumps
from api.lazy_group import load
from api.progress import Display, Watch, paces, watching
from api.results import read_results, results_json, results_view
from api.tables import printed
from scheduler.settings import Settings
from storage.campaigns import Campaign, read_campaign
from storage.engine import describe, reading
from storage.funnels import StageReport, funnel
from storage.states import CampaignState

INTERRUPTED = 130
LOOK_SECONDS = 1.0


@contextmanager
def interruptible(settings: Settings, campaign_id: int) -> Iterator[None]:
    """Answer Ctrl-C with how to go on, once all that runs inside has stopped."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"stopped; {_how_to_go_on(settings, campaign_id)}", err=True)
        sys.exit(INTERRUPTED)


def run_to_end(settings: Settings, engine: Engine, campaign: Campaign, as_json: bool) -> None:
    """Run a campaign until it runs no more and write what it found; raises CampaignFailed, MachineFailed."""
    # The scheduler's run brings Ray and Celery, which no other command needs.
    run_campaign = load("scheduler.runs:run_campaign")
    with watching(sys.stderr) as display:
        ended: Campaign = run_campaign(settings, engine, campaign.id, shown_by(display, engine, campaign))
    write_results(settings, engine, campaign.id, as_json)
    if ended.state == CampaignState.PAUSED:
        click.echo(f"campaign {campaign.id} is paused; {_how_to_go_on(settings, campaign.id)}", err=True)


def write_results(settings: Settings, engine: Engine, campaign_id: int, as_json: bool) -> None:
    """Write the results of a campaign as they stand."""
    with reading(engine) as session:
        results = read_results(session, campaign_id)
        lines = bad_lines(session, campaign_id)
    for line in lines:
        click.echo(line, err=True)
    if as_json:
        click.echo(dumps(results_json(results, describe(engine)), indent=2))
    else:
        printed(results_view(results, describe(engine), database_words(settings)), sys.stdout)


def watch(engine: Engine, campaign_id: int) -> Campaign:
    """Show how a campaign gets on until it runs no more, whoever does the work; raises NotFound."""
    with watching(sys.stderr) as display:
        on_progress = None
        while True:
            with reading(engine) as session:
                campaign, reports = read_campaign(session, campaign_id), funnel(session, campaign_id)
            on_progress = on_progress or shown_by(display, engine, campaign)
            on_progress(reports)
            if campaign.state != CampaignState.RUNNING:
                return campaign
            sleep(LOOK_SECONDS)


def shown_by(display: Display, engine: Engine, campaign: Campaign) -> Callable[[Sequence[StageReport]], None]:
    """What shows each report with paces and the time left."""
    seen = Watch()
    with reading(engine) as session:
        earlier = earlier_rates(session)

    def on_progress(reports: Sequence[StageReport]) -> None:
        now = monotonic()
        stages = paces(seen, reports, campaign.spec, now)
        display.show(stages, now, seconds_left(stages, campaign.spec, earlier))

    return on_progress


def _how_to_go_on(settings: Settings, campaign_id: int) -> str:
    command = ["sluice campaign resume", str(campaign_id), *database_words(settings)]
    return f"`{' '.join(command)}` goes on from here"
