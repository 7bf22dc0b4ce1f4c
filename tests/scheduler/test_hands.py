"""Company and solitude in the hands of one process."""

import threading
import time

from scheduler.hands import Hands


def test_attempts_are_named_while_they_last() -> None:
    hands = Hands()
    with hands.holding((2, 1)), hands.holding((1, 3)):
        assert hands.named() == ((1, 3), (2, 1))
    assert hands.named() == ()


def test_the_lonely_one_has_no_company_and_nobody_starves() -> None:
    hands, inside, seen = Hands(), [], []

    def hold(name: str, alone: bool) -> None:
        with hands.room(alone):
            inside.append(name)
            seen.append((name, alone, set(inside)))
            time.sleep(0.02)
            seen.append((name, alone, set(inside)))
            inside.remove(name)

    threads = [threading.Thread(target=hold, args=(f"t{k}", k % 4 == 0)) for k in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert len(seen) == 32
    assert all(company == {name} for name, alone, company in seen if alone)
    assert any(len(company) > 1 for _, alone, company in seen if not alone)


def test_room_is_given_back_when_the_work_raises() -> None:
    hands = Hands()
    for _ in range(2):
        try:
            with hands.room(alone=True):
                raise ValueError
        except ValueError:
            pass
    with hands.room(alone=False):
        pass
