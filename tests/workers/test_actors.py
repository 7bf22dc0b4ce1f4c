"""The host of a model without Ray around it: room, solitude, reasons."""

import threading
import time
from collections.abc import Sequence

from workers.actors import ADMITTED, ActorPlan, Answer, Call, LoadDelayed, ModelHost, Outcome


class Gate:
    """A model that computes once it is let."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.threads: set[str] = set()

    def echo(self, items: Sequence[object], suffix: str = "") -> list[str]:
        self.open.wait(10)
        self.threads.add(threading.current_thread().name)
        return [f"{item}{suffix}" for item in items]

    def fail(self, items: Sequence[object]) -> list[object]:
        raise ValueError("first line\nsecond line")


def hosted() -> tuple[ModelHost, Gate]:
    gate = Gate()
    return ModelHost(ActorPlan("gate", "0", "cpu", lambda name, device: gate, idle_seconds=1e6)), gate


def in_background(host: ModelHost, calls: Sequence[Call]) -> tuple[list[threading.Thread], list[Answer]]:
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda call=call: answers.append(host.run(call))) for call in calls]
    for thread in threads:
        thread.start()
    return threads, answers


def test_results_or_a_reason_of_one_line() -> None:
    host, gate = hosted()
    gate.open.set()
    assert host.run(Call("echo", ["a", "b"], {"suffix": "!"})) == Answer(Outcome.DONE, ["a!", "b!"])
    assert host.run(Call("fail", ["a"], {})) == Answer(Outcome.RAISED, reason="ValueError: first line")


def test_no_more_than_the_admitted_wait_and_one_thread_computes() -> None:
    host, gate = hosted()
    threads, answers = in_background(host, [Call("echo", [k], {}) for k in range(6)])
    while len(answers) < 6 - ADMITTED:
        threading.Event().wait(0.01)
    assert all(answer.outcome == Outcome.BUSY for answer in answers)
    gate.open.set()
    for thread in threads:
        thread.join(10)
    assert sum(answer.outcome == Outcome.DONE for answer in answers) == ADMITTED
    assert len(gate.threads) == 1


def test_alone_waits_for_an_empty_host_and_keeps_others_out() -> None:
    host, gate = hosted()
    threads, answers = in_background(host, [Call("echo", ["first"], {})])
    while host.run(Call("echo", [], {}, alone=True)).outcome != Outcome.BUSY:
        pass
    gate.open.set()
    threads[0].join(10)
    gate.open.clear()
    threads, answers = in_background(host, [Call("echo", ["alone"], {}, alone=True)])
    while not host._sole:
        threading.Event().wait(0.01)
    assert host.run(Call("echo", ["other"], {})).outcome == Outcome.BUSY
    gate.open.set()
    threads[0].join(10)
    assert answers == [Answer(Outcome.DONE, ["alone"])]


def test_failed_load_is_told_apart_from_failed_work_and_tried_again() -> None:
    attempts = []

    def load(name: str, device: str) -> object:
        attempts.append(name)
        if len(attempts) == 1:
            raise FileNotFoundError("weights")
        gate = Gate()
        gate.open.set()
        return gate

    host = ModelHost(ActorPlan("gate", "0", "cpu", load, idle_seconds=1e6))
    assert host.run(Call("echo", ["a"], {})) == Answer(Outcome.UNLOADABLE, reason="FileNotFoundError: weights")
    assert host.warm().outcome == Outcome.DONE
    assert host.run(Call("echo", ["a"], {})).outcome == Outcome.DONE
    assert attempts == ["gate", "gate"]


def test_a_model_that_cannot_be_loaded_yet_is_told_apart_from_one_that_never_can() -> None:
    def load(name: str, device: str) -> object:
        raise LoadDelayed("the server is away")

    host = ModelHost(ActorPlan("gate", "0", "cpu", load, idle_seconds=1e6))
    assert host.run(Call("echo", ["a"], {})).outcome == Outcome.DELAYED


def test_loading_is_neither_computing_nor_waiting() -> None:
    def load(name: str, device: str) -> object:
        time.sleep(1.0)
        gate = Gate()
        gate.open.set()
        return gate

    host = ModelHost(ActorPlan("gate", "0", "cpu", load, idle_seconds=1e6))
    answer = host.run(Call("echo", ["a"], {}))
    assert answer.seconds < 1.0 and answer.idle < 1.0
