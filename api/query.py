"""`sluice query`."""

from itertools import islice
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from api.connection import opened
from api.formats import write_csv, write_json, write_parquet
from api.lazy_group import load
from api.options import campaign_option, database_option, json_option
from api.outputs import check_folder, replacing, text_output
from api.tables import candidate_table, printed
from storage import queries
from storage.campaigns import read_campaign
from storage.engine import reading
from storage.queries import Query
from workers.errors import UserError
from workers.filters import parse_filter

FORMATS = ("table", "csv", "json", "parquet", "cif")
FILES = ("parquet", "cif")
SHOWN = 100  # rows of a table when nobody asked for a number


@click.command(epilog="\b\nExample: sluice query 'band_gap > 1 AND elements HAS \"Te\"' --sort -score --limit 20")
@click.argument("text", metavar="[FILTER]", required=False)
@campaign_option
@click.option("--sort", default="-score", show_default=True, metavar="[-]COLUMN", help="A minus: largest first.")
@click.option("--limit", type=click.IntRange(0, 2**63 - 1), metavar="N", help="At most N candidates.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write there; for cif a folder.")
@json_option
@database_option
def query(
    text: str | None, campaign_id: int | None, sort: str, limit: int | None, url: str | None, **output: Any
) -> None:
    """Select candidates with an OPTIMADE filter; without one, all of them."""
    asked = Query(parse_filter(text) if text is not None else None, campaign_id, sort, limit)
    form, out = "json" if output["as_json"] else output["form"], output["out"]
    if form in FILES and out is None:
        raise UserError(f"--format {form}: --out {'FOLDER' if form == 'cif' else 'FILE'} is expected")
    with opened(url) as engine, reading(engine) as session:
        if campaign_id is not None:
            read_campaign(session, campaign_id)
        write(session, asked, form, out)


def write(session: Session, asked: Query, form: str, out: Path | None) -> None:
    """Write the selected candidates in one of the formats, to a file or to stdout."""
    if form == "cif" and out is not None:
        _write_cif(session, asked, out)
        return
    if form == "table":
        _write_table(session, asked, out)
        return
    columns, rows = queries.columns(session), queries.query(session, asked)
    if form == "parquet" and out is not None:
        with replacing(out) as draft:
            write_parquet(draft, columns, rows)
    else:
        with text_output(out) as file:
            (write_csv if form == "csv" else write_json)(file, columns, rows)


def _write_table(session: Session, asked: Query, out: Path | None) -> None:
    rows = queries.query(session, asked)
    shown = list(islice(rows, SHOWN if asked.limit is None else asked.limit))
    with text_output(out) as file:
        printed(candidate_table(queries.columns(session), shown), file)
    if next(rows, None) is not None:
        click.echo(f"the first {SHOWN}; --limit N shows more, --format csv all", err=True)


def _write_cif(session: Session, asked: Query, folder: Path) -> None:
    crystals = queries.query_crystals(session, asked)
    # Crystals bring half a second of imports that no other format needs.
    write_crystals = load("api.crystal_files:write_crystals")
    named = ((formula if asked.campaign_id else f"{campaign}-{formula}", data) for campaign, formula, data in crystals)
    count = write_crystals(check_folder(folder), named)
    click.echo(f"{count} files in {folder}", err=True)
