from hypothesis import given
from hypothesis import strategies as st

from storage.candidates import NewCandidate, mark_surplus
from storage.chunks import NewChunk
from storage.engine import open_database, reading, transaction
from storage.hashes import add_digests, content_hash, digest_rows
from storage.moves import Expiry, expire_chunk
from storage.structures import NewStructure, record_structures

values = st.one_of(st.none(), st.integers(), st.floats(allow_nan=False), st.text())
rows = st.lists(st.lists(values, max_size=3), max_size=8)

NEW = [NewCandidate(f"Cs{n}I", ("Cs", "I"), n / 7, {"band_gap": (n / 3, 0.1), "hardness": (n, 0.2)}) for n in range(6)]


@given(rows, st.randoms(), st.integers(0, 8))
def test_a_digest_depends_on_neither_order_nor_cut(found: list, draw, cut: int) -> None:
    shuffled = draw.sample(found, len(found))
    parts = [digest_rows(shuffled[:cut]), digest_rows(shuffled[cut:])]
    assert add_digests(parts) == digest_rows(found)


def test_a_digest_sees_the_last_bit() -> None:
    assert digest_rows([("CsI", 0.3)]) != digest_rows([("CsI", 0.1 + 0.2)])
    assert len(digest_rows([])) == 16


def found(yard) -> str:
    with reading(yard.engine) as session:
        return content_hash(session, yard.campaign_id)


def straight(yard) -> None:
    yard.keep(*NEW)


def troubled(yard) -> None:
    """The same work cut otherwise, in another order, with a lost attempt."""
    yard.add(NewChunk(0, 2), NewChunk(2, 6))
    lost = yard.run(worker="killed")
    with transaction(yard.engine) as session:
        assert expire_chunk(session, yard.epoch, lost.id, lost.attempt, Expiry("killed"))
    yard.finish(yard.run(), NEW[4:])
    yard.finish(yard.run(), NEW[:4])


def finish_both(yard) -> None:
    crystal = NewStructure("Cs1I", 0, 3, {"lattice": [1.5], "species": ["Cs"]}, 221, 1, energy_per_atom=1 / 3)
    with transaction(yard.engine) as session:
        record_structures(session, yard.campaign_id, [crystal])


def test_a_troubled_run_finds_what_a_straight_one_finds(yard, sqlite_yard) -> None:
    troubled(yard)
    straight(sqlite_yard)
    assert found(yard) == found(sqlite_yard)
    finish_both(yard)
    assert found(yard) != found(sqlite_yard)
    finish_both(sqlite_yard)
    assert found(yard) == found(sqlite_yard)


def test_a_lost_row_is_seen(yard, sqlite_yard) -> None:
    straight(yard)
    sqlite_yard.add(NewChunk(0, 6))
    sqlite_yard.finish(sqlite_yard.run(), NEW[1:])
    assert found(yard) != found(sqlite_yard)


def test_surplus_does_not_count(yard) -> None:
    straight(yard)
    before = found(yard)
    with transaction(yard.engine) as session:
        mark_surplus(session, yard.campaign_id, ["Cs1I"])
    assert found(yard) != before


def test_a_database_is_itself_after_it_is_opened_again(sqlite_yard) -> None:
    straight(sqlite_yard)
    before = found(sqlite_yard)
    engine = open_database(sqlite_yard.engine.url.database or "")
    with reading(engine) as session:
        assert content_hash(session, sqlite_yard.campaign_id) == before
    engine.dispose()
