"""How long clients wait for a page of candidates while a campaign records into the same database.

python tests/benchmarks/bench_http.py --rows 1000000 --clients 50 --seconds 60 --db postgresql://…/empty
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, sleep

import numpy as np
import pytest
import urllib3
from bench_store import Yard, candidates, processor_seconds

from storage.engine import open_database
from storage.loads import indexes_afterwards
from storage.tables import CandidateTable, ElementTable

CHUNK, BULK = 1_024, 16_384
QUESTIONS: tuple[dict[str, str], ...] = (
    {"filter": "band_gap >= 1.1 AND band_gap <= 1.8"},
    {"filter": "band_gap > 1 AND e_above_hull < 0.05", "sort": "e_above_hull"},
    {"filter": 'elements HAS ALL "O", "Fe"'},
    {"filter": 'elements HAS ANY "Li", "Na", "K" AND band_gap > 2'},
    {"filter": 'elements HAS ONLY "Li", "Na", "Fe", "O", "S"'},
    {"filter": 'NOT elements HAS "O"'},
    {"filter": 'formula STARTS WITH "LiFe"', "sort": "formula"},
    {"filter": "nelements = 4", "sort": "-band_gap"},
    {"sort": "-score"},
)


@dataclass
class Waits:
    """The seconds of each answer, and how many answers of each other status there were."""

    seconds: list[float] = field(default_factory=list)
    busy: float = 0.0  # of the server's processor time
    errors: Counter[str] = field(default_factory=Counter)


def sit(url: str, seed: int, seconds: float, pause: float) -> Waits:
    """A client on a connection of its own, which asks, reads, and asks again."""
    draw, waits, end = random.Random(seed), Waits(), perf_counter() + seconds
    client = urllib3.PoolManager(retries=False, timeout=60.0)
    sleep(draw.uniform(0, pause))
    while perf_counter() < end:
        start = perf_counter()
        try:
            answer = client.request("GET", f"{url}/v1/candidates", fields={"limit": "50"} | draw.choice(QUESTIONS))
            error = "" if answer.status == 200 else f"{answer.status} {answer.data[:200]!r}"
        except urllib3.exceptions.HTTPError as exc:
            error = repr(exc)
        waits.seconds.append(perf_counter() - start)
        waits.errors[error] += bool(error)
        sleep(pause * draw.uniform(0.5, 1.5))
    return waits


def ask(url: str, clients: int, seconds: float, pause: float) -> Waits:
    """So many clients at once."""
    together = Waits()
    with ThreadPoolExecutor(clients) as seats:
        for waits in seats.map(lambda seed: sit(url, seed, seconds, pause), range(clients)):
            together.seconds += waits.seconds
            together.errors += waits.errors
    return together


@contextmanager
def serving(database: str) -> Iterator[tuple[str, int]]:
    """A server as a user starts it: its URL and its process."""
    command = [sys.executable, "-c", "from api.cli import main; main()", "serve", "--insecure-loopback"]
    command += ["--port", "0", "--rate", "1000000", "--db", database]
    # A broker is named, so that the server runs no campaign of its own; nobody asks it.
    environment = os.environ | {"SLUICE_BROKER_URL": "redis://127.0.0.1:1/0"}
    with tempfile.NamedTemporaryFile() as log:
        server = subprocess.Popen(command, stderr=log.fileno(), env=environment)
        try:
            while not (found := re.search(r"http://\S+(?=/v1,)", Path(log.name).read_text())):
                assert server.poll() is None, Path(log.name).read_text()
                sleep(0.1)
            yield found[0], server.pid
        finally:
            server.kill()
            server.wait()


def measure(database: str, rows: int, clients: int, seconds: float, pause: float) -> tuple[Waits, int]:
    """What clients wait, and how many candidates were recorded meanwhile, one chunk after another."""
    engine, source, recorded = open_database(database), candidates(), 0
    yard = Yard(engine, BULK)
    with indexes_afterwards(engine, CandidateTable, ElementTable):
        for _ in range(-(-rows // BULK)):
            yard.record(list(islice(source, BULK)))
    yard.chunk = CHUNK
    with serving(database) as (url, pid), ProcessPoolExecutor(1, get_context("spawn")) as others:
        before = processor_seconds(pid)
        waiting = others.submit(ask, url, clients, seconds, pause)
        while not waiting.done():
            yard.record(list(islice(source, CHUNK)))
            recorded += CHUNK
        waits = waiting.result()
        waits.busy = processor_seconds(pid) - before
    engine.dispose()
    return waits, recorded


def report(waits: Waits, recorded: int, seconds: float) -> None:
    """Print percentiles and errors."""
    p50, p95, p99 = (1e3 * float(np.percentile(waits.seconds, part)) for part in (50, 95, 99))
    rate = len(waits.seconds) / seconds
    print(f"  {len(waits.seconds):,} answers, {rate:.0f}/s, p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms")
    print(f"  {1e3 * waits.busy / len(waits.seconds):.1f} ms of the server's processor time for an answer")
    print(f"  {recorded / seconds:,.0f} candidates/s recorded meanwhile; load of the machine {os.getloadavg()[0]:.1f}")
    print(f"  errors: {dict(+waits.errors) or 'none'}", flush=True)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_clients_ask_while_a_campaign_records(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = str(tmp_path / "http.db") if kind == "sqlite" else request.getfixturevalue("postgres_url")
    waits, recorded = measure(url, 20_000, clients=50, seconds=5.0, pause=1.0)
    print(f"\n{kind}")
    report(waits, recorded, 5.0)
    assert not +waits.errors and len(waits.seconds) >= 50 and recorded


def main(arguments: Sequence[str] | None = None) -> None:
    """Fill an empty database, serve it, and print what clients wait."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two questions of a client")
    parser.add_argument("--db", help="default: a new SQLite file")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        database = asked.db or str(Path(folder) / "http.db")
        report(*measure(database, asked.rows, asked.clients, asked.seconds, asked.pause), asked.seconds)


if __name__ == "__main__":
    main()
