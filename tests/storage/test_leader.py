from concurrent.futures import ThreadPoolExecutor

from storage.engine import reading, transaction
from storage.leader import Leader, read_leader, renew_leadership, resign, take_leadership


def test_one_of_many_takes_the_lead(engine) -> None:
    with reading(engine) as session:
        seen = read_leader(session)
    assert seen == Leader(0, "", 0)

    def take(holder: str) -> int | None:
        with transaction(engine) as session:
            return take_leadership(session, holder, seen)

    with ThreadPoolExecutor(4) as pool:
        epochs = list(pool.map(take, "abcd"))
    assert sorted(epochs, key=str) == [1, None, None, None]


def test_a_leader_that_lives_cannot_be_followed(engine) -> None:
    with transaction(engine) as session:
        epoch = take_leadership(session, "a", read_leader(session))
        seen = read_leader(session)
        assert renew_leadership(session, epoch)
        assert take_leadership(session, "b", seen) is None
        assert take_leadership(session, "b", read_leader(session)) == epoch + 1
        assert not renew_leadership(session, epoch)
        assert not resign(session, epoch)


def test_who_resigns_leads_no_more(engine) -> None:
    with transaction(engine) as session:
        epoch = take_leadership(session, "a", read_leader(session))
        assert resign(session, epoch)
        assert not renew_leadership(session, epoch)
        assert not renew_leadership(session, epoch + 1)
        assert read_leader(session).holder == ""
        assert take_leadership(session, "b", read_leader(session)) == epoch + 2
