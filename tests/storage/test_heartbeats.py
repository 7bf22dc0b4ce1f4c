from storage.engine import transaction
from storage.heartbeats import beat, forget, join, read_beats, report_exit


def test_a_worker_is_heard_by_its_counter(yard) -> None:
    with transaction(yard.engine) as session:
        join(session, "w1", supervised=True, queues=["predict", "csp"], now=1.0)
        assert beat(session, "w1", [(7, 2), (9, 1)])
        assert beat(session, "w1", [(9, 1)])
        (heard,) = read_beats(session)
    assert (heard.counter, heard.in_hand, heard.queues, heard.exited) == (2, ((9, 1),), ("predict", "csp"), None)


def test_who_was_forgotten_must_join_anew(yard) -> None:
    with transaction(yard.engine) as session:
        join(session, "w1", supervised=False, queues=[], now=1.0)
        assert forget(session, yard.epoch - 1, ["w1"]) == 0
        assert forget(session, yard.epoch, ["w1", "w2"]) == 1
        assert not beat(session, "w1", [])


def test_the_first_report_of_an_exit_stands(yard) -> None:
    with transaction(yard.engine) as session:
        join(session, "w1", supervised=True, queues=[], now=1.0)
        assert report_exit(session, "w1", unplanned=True)
        assert not report_exit(session, "w1", unplanned=False)
        assert [heard.exited for heard in read_beats(session)] == ["unplanned"]
