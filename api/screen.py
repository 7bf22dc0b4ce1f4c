"""`sluice screen`."""

from pathlib import Path
from typing import Any

import click

from api.connection import connected, settings_for
from api.formats import dumps
from api.lazy_group import load
from api.options import database_option, json_option
from api.runs import interruptible, run_to_end
from api.spec_options import SpecOptions, asked_spec
from storage.campaigns import Campaign, read_campaign
from storage.engine import describe, reading


@click.command(
    epilog="\b\nExample: sluice screen deploy/campaigns/solar-absorbers.toml"
    "\n         sluice screen formulas.csv --where 'band_gap > 1' --top 20 --structures 4"
)
@click.argument("path", metavar="SPEC.toml|FILE", type=click.Path(path_type=Path))
@click.option(
    "--predictor", "predictors", multiple=True, metavar="NAME", help="Predict this property of your own; repeatable."
)
@click.option(
    "--where",
    metavar="FILTER",
    help="Keep what this OPTIMADE filter selects, probabilities as P(1 <= band_gap <= 2) >= 0.3; else every formula.",
)
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Crystal structures for the best N.")
@click.option("--structures", type=click.IntRange(min=0), metavar="N", help="Structures of each; 0: none.")
@click.option("--explain", type=click.IntRange(min=0), metavar="N", help="Explain the best N.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), metavar="N", help="Start of every random draw.")
@click.option("--name", help="What to call the campaign.")
@click.option("--detach", is_flag=True, help="Only create it; `sluice up`, or a worker and a dispatcher, do the work.")
@json_option
@database_option
def screen(path: Path, detach: bool, as_json: bool, url: str | None, **options: Any) -> None:
    """Run a campaign to its end: a spec, or a file of formulas (column `formula`, else the first)."""
    spec = asked_spec(path, SpecOptions(**options))
    settings = settings_for(url)
    with connected(settings, create=True) as engine:
        campaign_id = load("scheduler.campaigns:create_campaign")(engine, spec)
        with interruptible(settings, campaign_id):
            click.echo(f"campaign {campaign_id} ({spec.name}) in {describe(engine)}", err=as_json)
            with reading(engine) as session:
                campaign = read_campaign(session, campaign_id)
            if detach:
                load("scheduler.runs:keep_source")(engine, campaign, lambda lines: None)
                click.echo(_created(campaign, as_json))
            else:
                run_to_end(settings, engine, campaign, as_json)


def _created(campaign: Campaign, as_json: bool) -> str:
    if as_json:
        return dumps({"campaign": campaign.id, "name": campaign.name, "state": campaign.state}, indent=2)
    return f"watch it with: sluice campaign status {campaign.id} --watch"
