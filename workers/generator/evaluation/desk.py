"""Where an evaluation is worked out: its results kept line by line, its work spread over processes."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from workers.errors import UserError

Json = dict[str, Any]
Task = TypeVar("Task")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Desk:
    """Where an evaluation is worked out: its files begin with `stem`, and it goes on with what they hold or not."""

    stem: Path
    resume: bool = False
    processes: int = 2

    def completed(
        self, name: str, header: Mapping[str, object], count: int, compute: Callable[[int], Iterator[Any]]
    ) -> list[Any]:
        """One value for each of so many items: those in the file, then what `compute` yields from a given item on.

        Raises UserError where the file to go on with was made with another header.
        """
        path = self.stem.with_name(f"{self.stem.name}.{name}.jsonl")
        values = _kept(path, dict(header)) if self.resume and path.exists() else _begun(path, dict(header))
        if len(values) < count:
            with path.open("a", encoding="utf-8") as file:
                for value in compute(len(values)):
                    file.write(json.dumps(value) + "\n")
                    file.flush()
                    values.append(value)
        return values


def _begun(path: Path, header: Json) -> list[Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(header) + "\n", encoding="utf-8")
    return []


def _kept(path: Path, header: Json) -> list[Any]:
    """The values in a file; a last line that was cut short is taken off."""
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if not whole:
        return _begun(path, header)
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    found, *values = (json.loads(line) for line in whole.splitlines())
    expected = json.loads(json.dumps(header))
    other = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    if other == ["rule"]:  # what was compared by another rule is compared anew
        return _begun(path, header)
    if other:
        raise UserError(f"{path}: made with another {', '.join(other)}; another --out, or no --resume, is expected")
    return values


def spread(function: Callable[[Task], Answer], tasks: Iterable[Task], processes: int) -> Iterator[Answer]:
    """The function's answers; it and the tasks must be picklable, for processes are spawned: a fork would copy the
    threads' locks of torch."""
    if processes <= 1:
        yield from map(function, tasks)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(function, tasks)
