"""Independent pieces of work, spread over processes and answered in order."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")


def spread(
    function: Callable[[Task], Answer], tasks: Iterable[Task], processes: int, chunk: int = 8
) -> Iterator[Answer]:
    """The function's answers; it and the tasks must be picklable, for processes are spawned: a fork would copy the
    threads' locks of torch."""
    if processes <= 1:
        yield from map(function, tasks)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(function, tasks, chunksize=chunk)
