"""The version of the tables: looking at it, and bringing it up to date."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

VERSION_TABLE = "sluice_schema"
MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 0x51D1CE  # any number, the same in every process


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The revision of a database's tables, whether it is the newest, and why the database cannot be used."""

    revision: str | None
    current: bool
    problem: str | None = None


def inspect_schema(connection: Connection) -> SchemaState:
    """What stands in a database, without a write."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return SchemaState(None, current=False)
    if VERSION_TABLE not in tables:
        return SchemaState(None, current=False, problem=foreign(tables))
    revision = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
    scripts = ScriptDirectory(str(MIGRATIONS))
    known = {script.revision for script in scripts.walk_revisions()}
    if revision not in known:
        problem = f"its tables have revision {revision}, newer than this Sluice; a newer Sluice is expected"
        return SchemaState(revision, current=False, problem=problem)
    return SchemaState(revision, current=revision == scripts.get_current_head())


def foreign(tables: Iterable[str]) -> str:
    """The line that says that these are someone else's tables."""
    return f"it holds another program's table {min(tables)!r}; a database that Sluice made, or a new one, is expected"


def upgrade(engine: Engine) -> None:
    """Make the tables, or bring them up to date, in one transaction; two processes may try at once."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
