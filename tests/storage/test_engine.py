import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, event, func, make_url, select, text

from storage.campaigns import NewCampaign, create_campaign, list_campaigns
from storage.engine import describe, open_database, reading, transaction
from storage.errors import DatabaseFull
from storage.schema import VERSION_TABLE
from storage.sources import Slice, add_slice
from storage.states import StageName
from storage.tables import CampaignTable
from workers.errors import UserError

NEW = NewCampaign("screen", {}, 7, "0.1.0", (StageName.PREDICT,))


def count(engine: Engine) -> int:
    with reading(engine) as session:
        return session.scalar(select(func.count()).select_from(CampaignTable)) or 0


def refused(url: str, create: bool = True) -> str:
    """The one line that a database is refused with."""
    with pytest.raises(UserError) as caught:
        open_database(url, create=create)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_transaction_is_stored_whole_or_not_at_all(engine: Engine) -> None:
    with pytest.raises(KeyError), transaction(engine) as session:
        create_campaign(session, NEW, now=0.0)
        raise KeyError
    assert count(engine) == 0
    with transaction(engine) as session:
        assert create_campaign(session, NEW, now=0.0) == 1 or engine.dialect.name == "postgresql"
    assert count(engine) == 1


def test_reading_sees_one_moment_and_holds_up_no_writer(engine: Engine) -> None:
    with reading(engine) as session:
        assert list_campaigns(session) == []
        with transaction(engine) as writer:
            create_campaign(writer, NEW, now=0.0)
        assert list_campaigns(session) == []
    assert count(engine) == 1


def test_reading_stores_nothing(engine: Engine) -> None:
    refuses = engine.dialect.name == "postgresql"
    with pytest.raises(Exception, match="read-only") if refuses else nullcontext(), reading(engine) as session:
        create_campaign(session, NEW, now=0.0)
    assert count(engine) == 0


def test_sqlite_runs_in_wal_mode_with_foreign_keys(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'a.db'}")
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
    engine.dispose()


def test_two_processes_may_make_the_database_at_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(open_database, [url] * 4))
    assert [count(engine) for engine in engines] == [0] * 4
    for engine in engines:
        engine.dispose()


def test_an_alien_file_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE photo (id INTEGER)")
    connection.close()
    before = path.read_bytes()
    assert "photo" in refused(str(path))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["photos.db"]


def test_an_alien_postgresql_is_refused(postgres_url: str) -> None:
    engine = create_engine(make_url(postgres_url))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE photo (id INTEGER)"))
    engine.dispose()
    assert "photo" in refused(postgres_url)


def test_a_newer_database_is_refused(engine: Engine, url: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    assert "9999" in refused(url)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("band gaps of interest\n" * 100)
    assert "not a database" in refused(str(path))
    assert "folder" in refused(str(tmp_path))
    assert "no folder" in refused(str(tmp_path / "nowhere" / "a.db"))


def test_an_empty_file_is_a_new_database(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    path.touch()
    engine = open_database(str(path))
    assert count(engine) == 0
    engine.dispose()


def test_nothing_is_made_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "absent.db"
    assert "sluice screen" in refused(str(path), create=False)
    assert not path.exists()


@pytest.mark.parametrize("url", ["mysql://host/name", "sqlite://", "postgresql://host:port/name", "://"])
def test_an_url_that_cannot_be_is_refused(url: str) -> None:
    assert "expected" in refused(url)


def test_a_server_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    assert "secret" not in refused(f"postgresql://me:secret@/name?host={tmp_path}")


def test_a_full_disk_is_one_clear_line_and_loses_nothing(tmp_path: Path) -> None:
    engine = open_database(str(tmp_path / "a.db"))
    with transaction(engine) as session:
        campaign_id = create_campaign(session, NEW, now=0.0)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 80"))
    formulas = tuple(f"Cs{n}I{n * 7919 % 10007}" for n in range(200_000))
    with pytest.raises(DatabaseFull, match=r"a\.db.*disk is full"), transaction(engine) as session:
        add_slice(session, campaign_id, Slice(0, formulas))
    assert count(engine) == 1
    engine.dispose()


def test_other_errors_keep_their_names(engine: Engine) -> None:
    with pytest.raises(Exception, match="nowhere") as caught, reading(engine) as session:
        session.execute(text("SELECT * FROM nowhere"))
    assert not isinstance(caught.value, DatabaseFull)


def test_a_password_is_never_shown(postgres_url: str) -> None:
    engine = open_database(str(make_url(postgres_url).set(password="secret").render_as_string(hide_password=False)))
    assert "secret" not in describe(engine)
    engine.dispose()


def test_the_path_is_shown_as_it_was_given(tmp_path: Path) -> None:
    engine = open_database(str(tmp_path / "a.db"))
    assert describe(engine) == str(tmp_path / "a.db")
    engine.dispose()
