from collections.abc import Iterator
from hashlib import sha256

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from storage.campaigns import read_campaign
from storage.candidates import NewCandidate, record_candidates
from storage.checks import find_flaws
from storage.engine import open_database, reading, transaction
from storage.explanations import read_explanations
from storage.profiles import read_profile
from storage.queries import Query, query
from storage.schema import MIGRATIONS, VERSION_TABLE, inspect_schema, upgrade
from storage.states import PRIORITY
from storage.tables import Table
from workers.errors import UserError
from workers.explanations import Explanation
from workers.filters import parse_filter


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


CHUNK = {
    "campaign_id": 1, "stage": "predict", "ordinal": 0, "start": 0, "stop": 2, "size": 2, "state": "done", "attempt": 1,
    "errors": 0, "crashes": 0, "alone": False, "drained": False, "digest": "ab", "input": 2, "survived": 1,
    "rejected": 1, "duplicate": 0, "invalid": 0, "failed": 0,
}  # fmt: skip
EXPLANATION = {
    "candidate_id": 1, "property": "band_gap", "index": "k-SII", "order": 2, "baseline": 1.0, "value": 1.125,
    "interactions": '[[["Cs"], 0.25], [["Cs", "I"], -0.125]]',
}  # fmt: skip
CANDIDATE = {"campaign_id": 1, "chunk_id": 1, "formula": "CsI", "nelements": 2, "survived": 1, "surplus": False}
SPEC = '{"top": 5}'
CAMPAIGN = {"name": "old", "spec": SPEC, "seed": 1, "code_version": "0.1.0", "state": "running", "created_at": 1.0}
STAGE = {"campaign_id": 1, "name": "predict", "ordinal": 1, "cursor": 2, "exhausted": True, "closed": False}
SET = {"name": "mp", "title": "MP", "level": "PBE", "origin": "{}", "cursor": 0, "entries": 0, "digest": ""}
ROWS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("0001", "campaign", CAMPAIGN),
    ("0001", "stage", STAGE),
    ("0001", "chunk", CHUNK),
    ("0001", "candidate", CANDIDATE | {"score": 0.5, "band_gap": 4 / 3}),
    ("0001", "candidate_element", {"element": "I", "candidate_id": 1}),
    ("0001", "candidate_element", {"element": "Cs", "candidate_id": 1}),
    ("0001", "candidate_property", {"candidate_id": 1, "property": "hardness", "value": 2.5}),
    ("0001", "explanation", EXPLANATION),
    ("0003", "weights", {"sha256": sha256().hexdigest(), "name": "mine", "card": "{}"}),
    ("0004", "token", {"name": "me", "role": "read", "digest": "ab", "created_at": 1.0}),
    ("0004", "idempotency_key", {"owner": "me", "key": "k", "digest": "ab", "campaign_id": 1}),
    ("0007", "reference_set", SET | {"created_at": 1.0}),
)
RELEASED = [f"{number:04}" for number in range(1, 8)]


@pytest.mark.parametrize("released", RELEASED)
def test_a_database_of_any_release_is_brought_up_to_date_with_its_rows(engine: Engine, released: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        Table.metadata.drop_all(connection)
        connection.execute(text(f"DELETE FROM {VERSION_TABLE}"))
        config.attributes["connection"] = connection
        command.upgrade(config, released)
        for statement, values in rows_of(released):
            connection.execute(text(statement), values)
    upgrade(engine)
    with reading(engine) as session:
        assert inspect_schema(session.connection()).current
        assert read_campaign(session, 1).priority == PRIORITY
        assert read_campaign(session, 1).spec == {"top": 5}
        [explanation] = read_explanations(session, 1)
        [row] = query(session, Query(parse_filter('elements HAS ONLY "Cs", "I", "Pb" AND band_gap > 1')))
        profile = read_profile(session, "CsI")
        assert list(find_flaws(session)) == []
    interactions = ((("Cs",), 0.25), (("Cs", "I"), -0.125))
    assert explanation == Explanation("CsI", "band_gap", "k-SII", 2, 1.0, 1.125, interactions, "elements", None, None)
    assert (row["formula"], row["band_gap"], row["hardness"]) == ("CsI", 4 / 3, 2.5)
    assert (profile.elements, profile.predictions["hardness"]) == (("Cs", "I"), (2.5, None))
    with transaction(engine) as session:  # ids go on, and what is written new stands beside the old
        assert record_candidates(session, 1, 1, [NewCandidate("KCl", ("K", "Cl"), 1.0, {})]) == ["KCl"]


def rows_of(released: str) -> Iterator[tuple[str, dict[str, object]]]:
    """A campaign with one candidate, as that release wrote them."""
    for since, table, values in ROWS:
        if since <= released:
            names, marks = (", ".join(form.format(name) for name in values) for form in ('"{}"', ":{}"))
            yield f"INSERT INTO {table} ({names}) VALUES ({marks})", values


def test_every_release_is_brought_up_to_date() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert sorted(script.revision for script in scripts.walk_revisions()) == [*RELEASED, scripts.get_current_head()]


@pytest.mark.parametrize("revision", ["9999", "0001"])
def test_a_database_that_this_release_cannot_read_is_refused_in_one_line(url: str, revision: str) -> None:
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :revision"), {"revision": revision})
    engine.dispose()
    with pytest.raises(UserError) as caught:
        open_database(url, create=False)
    expected = "newer than this Sluice" if revision == "9999" else "run `sluice db upgrade`"
    assert expected in str(caught.value) and "\n" not in str(caught.value)
