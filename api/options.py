"""Options that several commands share."""

import click

LARGEST_ID = 2**31 - 1
ID = click.IntRange(1, LARGEST_ID)
database_option = click.option(
    "--db",
    "url",
    metavar="URL",
    help="Database: a path, sqlite:///PATH or postgresql://…; else SLUICE_DATABASE_URL, else ./sluice.db.",
)
# Every command takes --db; these few compute without one.
no_database_option = click.option("--db", metavar="URL", expose_value=False, help="Not used by this command.")
json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON to stdout.")
campaign_option = click.option("--campaign", "campaign_id", type=ID, metavar="ID", help="Only this campaign.")
id_argument = click.argument("campaign_id", metavar="ID", type=ID)
