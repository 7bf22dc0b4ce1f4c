from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from storage.campaigns import read_campaign
from storage.engine import open_database, reading
from storage.explanations import read_explanations
from storage.schema import MIGRATIONS, VERSION_TABLE, inspect_schema, upgrade
from storage.states import PRIORITY
from storage.tables import Table
from workers.explanations import Explanation


def test_models_and_migrations_do_not_differ(engine: Engine) -> None:
    with engine.connect() as connection:
        options = {"compare_type": True, "version_table": VERSION_TABLE}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), Table.metadata)
    assert found == []


def test_indexes_leave_unknown_values_out_on_both_sides(engine: Engine) -> None:
    # compare_metadata does not look at the conditions of partial indexes.
    query = "SELECT sql FROM sqlite_master WHERE type = 'index'"
    if engine.dialect.name == "postgresql":
        query = "SELECT indexdef FROM pg_indexes WHERE tablename = 'candidate' AND schemaname = current_schema()"
    with engine.connect() as connection:
        partial = [sql for sql in connection.scalars(text(query)) if sql and "IS NOT NULL" in sql]
    dialect = engine.dialect.name
    indexes = Table.metadata.tables["candidate"].indexes
    assert len(partial) == len([index for index in indexes if index.dialect_options[dialect]["where"] is not None]) > 0


def test_upgrade_twice_changes_nothing(engine: Engine) -> None:
    upgrade(engine)
    with engine.connect() as connection:
        assert inspect_schema(connection).current
        assert connection.scalar(text("SELECT count(*) FROM leader")) == 1


def test_formulas_sort_by_bytes(engine: Engine) -> None:
    columns = inspect(engine).get_columns("candidate")
    collation = next(getattr(column["type"], "collation", None) for column in columns if column["name"] == "formula")
    assert collation == ("C" if engine.dialect.name == "postgresql" else None)


def test_open_again_finds_the_same_tables(url: str) -> None:
    for create in (True, True, False):
        engine = open_database(url, create=create)
        with engine.connect() as connection:
            assert inspect_schema(connection).current
        engine.dispose()


def test_explanations_of_an_older_database_stay_readable(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        Table.metadata.drop_all(connection)
        connection.execute(text(f"DELETE FROM {VERSION_TABLE}"))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    campaign = (
        "INSERT INTO campaign (id, name, spec, seed, code_version, state, created_at)"
        " VALUES (1, 'old', '{}', 1, '0.1.0', 'running', 1.0)"
    )
    candidate = (
        "INSERT INTO candidate (id, campaign_id, formula, nelements, survived, surplus) VALUES (1, 1, 'CsI', 2, 0, :no)"
    )
    columns = 'candidate_id, property, "index", "order", baseline, value, interactions'
    with engine.begin() as connection:
        connection.execute(text(campaign))
        connection.execute(text(candidate), {"no": False})
        kept = {"interactions": '[[["Cs"], 0.25], [["Cs", "I"], -0.125]]'}
        values = "1, 'band_gap', 'k-SII', 2, 1.0, 1.125, :interactions"
        connection.execute(text(f"INSERT INTO explanation ({columns}) VALUES ({values})"), kept)
    upgrade(engine)
    with reading(engine) as session:
        assert read_campaign(session, 1).priority == PRIORITY
        [found] = read_explanations(session, 1)
    interactions = ((("Cs",), 0.25), (("Cs", "I"), -0.125))
    assert found == Explanation("CsI", "band_gap", "k-SII", 2, 1.0, 1.125, interactions, "elements", None, None)
