"""The engine against the bare model loop, Ray Data and Celery alone, with one model and one store, in one run.

python tests/benchmarks/bench_engine.py --compositions 1000000
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any

os.environ.setdefault("RAY_worker_niceness", "0")  # all run with one priority, or a busy machine decides who is faster

import ray
import ray.data
from celery import Celery
from sqlalchemy import Engine, select

from scheduler.campaigns import create_campaign
from scheduler.processes import read_known
from scheduler.runs import keep_source
from scheduler.settings import load_settings
from scheduler.spec import CampaignSpec, parse_spec
from scheduler.stages import predict
from scheduler.supervisor import DISPATCHER, machine
from storage.campaigns import read_campaign
from storage.candidates import record_candidates
from storage.engine import open_database, reading, transaction
from storage.funnels import funnel
from storage.ledgers import stage_ledgers
from storage.states import CampaignState
from storage.tables import ChunkTable
from workers.enumeration import Enumeration
from workers.models import load_model
from workers.properties import Predicted

CHUNK = 1024
CATIONS = ("Li", "Na", "K", "Cs", "Mg", "Ca", "Sr", "Ba", "Ti", "Mn", "Fe", "Cu", "Zn", "Ag", "In", "Sn", "Sb", "Pb")
ANIONS = ("O", "S", "Se", "Te", "F", "Cl", "I")
WHERE = "band_gap >= 2.0"
MODEL = "composition-predictor"
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Lap:
    """One contender's run: compositions per second from its first chunk to its last, and what else it tells."""

    name: str
    rate: float
    words: str = ""


def write_formulas(path: Path, count: int) -> None:
    """So many formulas, one a line."""
    source = Enumeration(CATIONS, ANIONS, (1, 2, 3), (1, 2))
    assert len(source) >= count, f"the enumeration has {len(source):,} compositions"
    with path.open("w") as file:
        for start in range(0, count, CHUNK):
            file.writelines(f"{row.formula}\n" for row in source.slice(start, min(start + CHUNK, count)))


def chunks_of(path: Path) -> Iterator[list[str]]:
    with path.open() as file:
        while chunk := [line.strip() for line in islice(file, CHUNK)]:
            yield chunk


def spec_of(path: Path) -> CampaignSpec:
    source = {"kind": "file", "path": str(path)}
    return parse_spec({"source": source, "predict": {"where": WHERE, "model": MODEL}, "name": "bench"}, "bench")


def predicted(model: Any, formulas: Sequence[str]) -> list[Predicted]:
    """Batches as the engine has them."""
    return [
        answer
        for at in range(0, len(formulas), predict.BATCH)
        for answer in model.predict(formulas[at : at + predict.BATCH])
    ]


def store(engine: Engine, spec: CampaignSpec, campaign: int, rows: list[tuple[str, Predicted]]) -> None:
    """What every contender keeps of a chunk: the candidates, in one transaction."""
    kept = predict.select(spec, rows, None)  # type: ignore[arg-type]  # models are asked only of chances
    with transaction(engine) as session:
        record_candidates(session, campaign, None, kept)  # type: ignore[arg-type]  # there are no chunks here


def bare(path: Path, most: int = 16 * CHUNK) -> Lap:
    """The model in a loop, nothing kept."""
    model = load_model(MODEL, "cpu")
    predicted(model, next(chunks_of(path)))
    done, began = 0, perf_counter()
    for chunk in chunks_of(path):
        done += len(predicted(model, chunk))
        if done >= most:
            break
    return Lap("bare loop, 1 process", done / (perf_counter() - began))


def sluice(path: Path, folder: Path, actors: int) -> Lap:
    """A campaign from its file to its end; memory of the dispatcher at a tenth and at the end."""
    folder.mkdir()
    environment = {"SLUICE_DATABASE_URL": f"sqlite:///{folder / 'x.db'}", "SLUICE_ACTORS": str(actors)}
    settings = load_settings(environment)
    engine = open_database(settings.database_url)
    began = perf_counter()
    campaign = create_campaign(engine, spec_of(path))
    keep_source(engine, read_campaign_of(engine, campaign), lambda lines: None)
    created = perf_counter() - began
    memory: dict[int, int] = {}
    with machine(settings, engine) as running:
        assert running is not None
        while read_campaign_of(engine, campaign).state == CampaignState.RUNNING:
            running.check(monotonic())
            with reading(engine) as session:
                [report] = funnel(session, campaign)
            dispatcher = [known.pid for known in read_known(settings.folder) if known.role == DISPATCHER]
            percent = 100 * report.counts.input // (report.source_size or 1)
            if dispatcher:
                memory[percent] = resident(dispatcher[0])
            sleep(0.5)
    with reading(engine) as session:
        [report], [ledger] = funnel(session, campaign), stage_ledgers(session, campaign)
        ended = select(ChunkTable.done_at, ChunkTable.input).order_by(ChunkTable.done_at)
        (began, _), *others = session.execute(ended.where(ChunkTable.campaign_id == campaign)).all()
    engine.dispose()
    rate = sum(size for _, size in others) / (others[-1][0] - began)  # the first chunk has the loading of the model
    return Lap(f"sluice, {actors} actor(s)", rate, told(ledger.sums, memory, created, report.chunks))


def read_campaign_of(engine: Engine, campaign: int) -> Any:
    with reading(engine) as session:
        return read_campaign(session, campaign)


def told(sums: Mapping[str, float], memory: Mapping[int, int], created: float, chunks: Mapping[Any, int]) -> str:
    number = sum(chunks.values())
    milli = {name: 1_000 * sums[f"{name}_seconds"] / number for name in ("load", "record", "compute", "device")}
    early = [value for percent, value in memory.items() if percent >= 10]
    busy = sums["device_seconds"] / (sums["device_seconds"] + sums["idle_seconds"])
    return (
        f"created in {created:.1f} s; a chunk: load {milli['load']:.1f} ms, record {milli['record']:.1f} ms, "
        f"on device {milli['device']:.0f} ms; actors busy {busy:.1%}; "
        f"dispatcher {early[0] / 2**20:.0f} MB at 10 %, {early[-1] / 2**20:.0f} MB at the end"
    )


def resident(pid: int) -> int:
    """Bytes of memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Predictor:
    """The model as Ray Data asks for it."""

    def __init__(self) -> None:
        self.model: Any = load_model(MODEL, "cpu")

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        formulas = [str(formula) for formula in batch["formula"]]
        return {"formula": formulas, "answer": [json.dumps(answer) for answer in predicted(self.model, formulas)]}


def ray_data(path: Path, folder: Path, actors: int) -> Lap:
    """`map_batches` over the formulas; what comes is stored by the driver. Nothing survives its end half-way."""
    folder.mkdir()
    engine, spec = open_database(str(folder / "x.db")), spec_of(path)
    campaign = create_campaign(engine, spec)
    short = tempfile.mkdtemp(prefix="sl", dir="/tmp")
    ray.init(address="local", num_cpus=actors + 1, include_dashboard=False, _temp_dir=short, log_to_driver=False,
             runtime_env={"env_vars": ONE_THREAD})  # fmt: skip
    ray.data.DataContext.get_current().enable_progress_bars = False
    formulas = [{"formula": formula} for chunk in chunks_of(path) for formula in chunk]
    blocks = ray.data.from_items(formulas, override_num_blocks=-(-len(formulas) // CHUNK))
    answers = blocks.map_batches(Predictor, batch_size=CHUNK, compute=ray.data.ActorPoolStrategy(size=actors))
    done, began = 0, 0.0
    for batch in answers.iter_batches(batch_size=CHUNK):
        rows = [(str(f), json.loads(a)) for f, a in zip(batch["formula"], batch["answer"], strict=True)]
        store(engine, spec, campaign, rows)
        done, began = (done + len(rows), began) if began else (0, perf_counter())  # the first one has the loading
    took = perf_counter() - began
    ray.shutdown()
    shutil.rmtree(short, ignore_errors=True)
    engine.dispose()
    return Lap(f"Ray Data, {actors} actor(s)", done / took)


def celery_app(folder: Path) -> Celery:
    """An app whose task predicts and stores so many lines of the file."""
    app = Celery("bench", broker="filesystem://")
    broker = str(folder / "broker")
    app.conf.update(
        broker_transport_options={"data_folder_in": broker, "data_folder_out": broker, "polling_interval": 0.02,
                                  "control_folder": str(folder / "control")},
        task_ignore_result=True, worker_prefetch_multiplier=1,
    )  # fmt: skip
    known: dict[str, Any] = {}

    @app.task(name="bench.work")
    def work(place: int, formulas: list[str], path: str, campaign: int) -> None:
        if not known:
            known["model"] = load_model(MODEL, "cpu")
            known["engine"], known["spec"] = open_database(str(folder / "x.db")), spec_of(Path(path))
        answers = predicted(known["model"], formulas)
        store(known["engine"], known["spec"], campaign, list(zip(formulas, answers, strict=True)))
        (folder / "done" / str(place)).touch()

    return app


def ended(folder: Path) -> int:
    return sum(1 for _ in (folder / "done").iterdir())


def celery_alone(path: Path, folder: Path, workers: int) -> Lap:
    """A task a chunk, a model in each worker process."""
    for name in ("broker", "control", "done"):
        (folder / name).mkdir(parents=True)
    engine = open_database(str(folder / "x.db"))
    campaign = create_campaign(engine, spec_of(path))
    app, sizes = celery_app(folder), []
    for place, chunk in enumerate(chunks_of(path)):
        app.send_task("bench.work", args=[place, chunk, str(path), campaign])
        sizes.append(len(chunk))
    command = [sys.executable, __file__, "--celery-worker", str(folder)]
    processes = [subprocess.Popen(command, env={**os.environ, **ONE_THREAD}) for _ in range(workers)]
    while (warm := ended(folder)) < workers:
        sleep(0.02)
    began = perf_counter()
    while ended(folder) < len(sizes):
        sleep(0.02)
    took = perf_counter() - began
    for process in processes:
        process.kill()
        process.wait()
    engine.dispose()
    return Lap(f"Celery alone, {workers} worker(s)", sum(sizes[warm:]) / took)


def compare(folder: Path, count: int, workers: int) -> list[Lap]:
    """Every contender, one after the other."""
    path, laps = folder / "formulas.txt", list[Lap]()
    write_formulas(path, count)
    runs: list[Callable[[], Lap]] = [
        lambda: bare(path),
        *(partial(sluice, path, folder / f"sluice-{number}", number) for number in sorted({1, workers})),
        lambda: ray_data(path, folder / "ray", workers),
        lambda: celery_alone(path, folder / "celery", workers),
    ]
    for run in runs:
        laps.append(run())
        print(f"{laps[-1].name:26} {laps[-1].rate:10,.1f}/s  {laps[-1].words}", flush=True)
    loop, one, many, other, celery = laps[0], laps[1], laps[-3], laps[-2], laps[-1]
    print(
        f"one actor against the bare loop: {one.rate / loop.rate:.1%}; 1 -> {workers}: {many.rate / one.rate:.2f} times"
    )
    print(f"sluice against the faster of the two: {many.rate / max(other.rate, celery.rate):.1%}")
    return laps


def test_four_thousand_compositions_through_every_engine(tmp_path: Path) -> None:
    laps = compare(tmp_path, 4 * CHUNK, 2)
    assert all(lap.rate > 0 for lap in laps)


def main() -> None:
    """Compare the engines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compositions", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where databases are written; default: a temporary one")
    parser.add_argument("--celery-worker", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.celery_worker:
        arguments = ["--quiet", "worker", "--pool=solo", "--without-gossip", "--without-mingle", "--loglevel=ERROR"]
        celery_app(asked.celery_worker).worker_main(arguments)
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        compare(Path(folder), asked.compositions, asked.workers)


if __name__ == "__main__":
    main()
