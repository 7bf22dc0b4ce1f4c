"""The pool over real Ray actors that die, raise, hang and are killed from outside."""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import ray

from workers.actors import NAMESPACE, ActorPlan, LoadDelayed, attach
from workers.pool import Failure, ModelUnavailable, Pool, PoolTimeout

PLENTY = 120.0


class Doubler:
    """A model that doubles numbers, dies of those it is told to, and writes down what it computed."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.here = 0

    def double(self, items: list[int], poison: tuple[int, ...] = (), bad: tuple[int, ...] = (), pause: float = 0.0):
        self.here += 1
        assert self.here == 1, "two batches computed at once"
        with self.log.open("a") as file:
            file.write(f"{len(items)}\n")
        time.sleep(pause)
        if set(poison) & set(items):
            os._exit(1)
        self.here -= 1
        if set(bad) & set(items):
            raise ValueError(f"cannot double {sorted(set(bad) & set(items))}")
        return [2 * item for item in items]

    def pid(self, items: list[int]) -> list[int]:
        return [os.getpid()] * len(items)

    def short(self, items: list[int]) -> list[int]:
        return items[:-1]


def load(model: str, device: str) -> Doubler:
    folder = Path(device)
    if (folder / "away").exists():
        raise LoadDelayed("its server is away")
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    return Doubler(folder / "log")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    short = tempfile.mkdtemp(prefix="sl", dir="/tmp")  # socket paths must stay below 108 characters
    ray.cloudpickle.register_pickle_by_value(__import__("sys").modules[__name__])
    ray.init(
        address="local", include_dashboard=False, num_cpus=1, object_store_memory=80 * 2**20, namespace=NAMESPACE,
        _temp_dir=short, log_to_driver=False,
    )  # fmt: skip
    yield
    ray.shutdown()
    shutil.rmtree(short, ignore_errors=True)


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[ActorPlan]:
    plan = ActorPlan("doubler", tmp_path.name, str(tmp_path), load)
    yield plan
    for index in range(2):
        ray.kill(attach(plan, index))


def batches(plan: ActorPlan) -> list[int]:
    return [int(line) for line in (Path(plan.device) / "log").read_text().split()]


def test_results_come_in_the_order_of_the_items(plan: ActorPlan) -> None:
    assert Pool(plan, 2).run("double", list(range(50)), {}, 8, PLENTY) == [2 * n for n in range(50)]
    assert sorted(batches(plan)) == [2, 8, 8, 8, 8, 8, 8]


def test_no_items_need_no_actor(plan: ActorPlan) -> None:
    assert Pool(plan, 1).run("double", [], {}, 8, PLENTY) == []


def test_item_that_raises_is_isolated(plan: ActorPlan) -> None:
    results = Pool(plan, 2).run("double", list(range(20)), {"bad": (3, 17)}, 10, PLENTY)
    for bad in (3, 17):
        assert results[bad] == Failure(f"ValueError: cannot double [{bad}]")
    assert [r for r in results if not isinstance(r, Failure)] == [2 * n for n in range(20) if n not in (3, 17)]


def test_item_that_kills_is_isolated_and_its_company_is_computed(plan: ActorPlan) -> None:
    results = Pool(plan, 1).run("double", list(range(6)), {"poison": (4,)}, 3, PLENTY)
    failure = results.pop(4)
    assert isinstance(failure, Failure) and "ended the model's process" in failure.reason
    assert results == [0, 2, 4, 6, 10]


def test_death_from_outside_costs_no_item(plan: ActorPlan) -> None:
    pool = Pool(plan, 1)
    [pid] = pool.run("pid", [0], {}, 1, PLENTY)
    threading.Timer(0.7, os.kill, (pid, 9)).start()
    assert pool.run("double", list(range(12)), {"pause": 0.3}, 2, PLENTY) == [2 * n for n in range(12)]


def test_two_callers_share_the_limit_of_an_actor(plan: ActorPlan) -> None:
    pools = [Pool(plan, 1), Pool(plan, 1)]  # as two worker processes would have them
    answers: dict[int, list[object]] = {}

    def call(k: int) -> None:
        answers[k] = pools[k % 2].run("double", list(range(k, k + 12)), {"pause": 0.02}, 2, PLENTY)

    threads = [threading.Thread(target=call, args=(k,)) for k in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {k: [2 * n for n in range(k, k + 12)] for k in range(5)}
    assert len(batches(plan)) == 30, "a busy actor must refuse a batch before computing it"


def test_wrong_number_of_results_is_a_failure_not_a_shift(plan: ActorPlan) -> None:
    assert Pool(plan, 1).run("short", [1], {}, 1, PLENTY) == [Failure("0 results for 1 items")]


def test_unloadable_model_is_not_blamed_on_the_items(plan: ActorPlan) -> None:
    broken = ActorPlan(plan.model, plan.model_id + "-broken", "/nowhere", load)
    with pytest.raises(ModelUnavailable, match="doubler cannot be loaded: FileNotFoundError: no folder /nowhere"):
        Pool(broken, 1).run("double", [1], {}, 1, PLENTY)
    ray.kill(attach(broken, 0))


def test_time_limit_is_kept(plan: ActorPlan) -> None:
    started = time.monotonic()
    with pytest.raises(PoolTimeout):
        Pool(plan, 1).run("double", [1, 2], {"pause": 30.0}, 1, 2.0)
    assert time.monotonic() - started < 20


def test_batch_that_hangs_is_a_death(plan: ActorPlan) -> None:
    pool = Pool(plan, 1, batch_seconds=1.5)
    pool.run("double", [1], {}, 1, PLENTY)
    [failure] = pool.run("double", [1], {"pause": 600.0}, 1, PLENTY)
    assert isinstance(failure, Failure)


def test_idle_actor_ends_and_is_started_again_when_needed(plan: ActorPlan) -> None:
    brief = ActorPlan(plan.model, plan.model_id + "-brief", plan.device, load, idle_seconds=1.0)
    pool = Pool(brief, 1)
    first = pool.run("pid", [0], {}, 1, PLENTY)
    time.sleep(2.5)
    assert pool.run("pid", [0], {}, 1, PLENTY) != first
    ray.kill(attach(brief, 0))


def test_a_model_that_cannot_be_loaded_yet_is_waited_for(plan: ActorPlan) -> None:
    away = Path(plan.device) / "away"
    away.touch()
    threading.Timer(2.0, away.unlink).start()
    assert Pool(plan, 1).run("double", [1, 2], {}, 1, PLENTY) == [2, 4]


def test_actors_that_find_no_place_get_no_batch(plan: ActorPlan) -> None:
    greedy = replace(plan, model_id=plan.model_id + "-greedy", cpus=1.0)  # the cluster has one CPU
    pool = Pool(greedy, 2)
    assert pool.run("double", list(range(12)), {}, 2, PLENTY) == [2 * n for n in range(12)]
    for index in range(2):
        ray.kill(attach(greedy, index))
