from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from storage.engine import open_database
from storage.schema import VERSION_TABLE, inspect_schema, upgrade
from storage.tables import Table


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
