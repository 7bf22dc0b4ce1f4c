"""`python -m workers.training.benchmark prepare|trunk|run|table`: what transfer adds to a composition."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from workers.predictors.benchmark.report import gather, to_markdown
from workers.predictors.benchmark.runs import VARIANTS, Bench, run
from workers.predictors.benchmark.tasks import parts_of
from workers.predictors.benchmark.trunks import make_trunk
from workers.predictors.table import Table
from workers.predictors.transfer.holdout import SCOPES, SOURCES
from workers.predictors.transfer.making import TABLE, make_table
from workers.predictors.transfer.trunk import Budget
from workers.predictors.tuning.specialist import Recipe
from workers.training.mistakes import told


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m workers.training.benchmark",
        description="Measure what transfer adds to predictions from composition alone. Every step resumes.",
        epilog="example: python -m workers.training.benchmark run --data data --out work --task expt_gap",
    )
    steps = parser.add_subparsers(dest="step", required=True)
    prepare = steps.add_parser("prepare", help="describe the corpus with CHGNet and spglib, and gather the labels")
    prepare.add_argument("--processes", type=int, default=2)
    prepare.add_argument("--limit", type=int, help="only so many structures, one of each formula and small ones first")
    trunk = steps.add_parser("trunk", help="train a teacher and a trunk without what a group of tasks tests")
    trunk.add_argument("--scope", choices=sorted(SCOPES), required=True)
    trunk.add_argument("--align-to", choices=("ground", "mean"), default="ground", help="a formula's embedding")
    for name in ("teacher", "masked", "aligned", "taught"):
        trunk.add_argument(f"--{name}-minutes", type=float, default=getattr(Budget(), name))
    runs = steps.add_parser("run", help="fine-tune and measure; results that are there stay")
    runs.add_argument("--task", choices=sorted(SOURCES), action="append", help="repeatable; all")
    runs.add_argument("--variant", choices=tuple(VARIANTS), action="append", help="repeatable; all")
    runs.add_argument("--part", action="append", help="repeatable fold or split; all that belong to the task")
    runs.add_argument("--epochs", type=int, default=Recipe().epochs, help="at most, of fine-tuning")
    runs.add_argument("--rows", type=int, default=Recipe().rows, help="that fine-tuning sees in all, at most")
    table = steps.add_parser("table", help="the results as table.json and table.md")
    for step in (prepare, trunk, runs, table):
        step.add_argument("--out", type=Path, required=True, help="work folder")
        step.add_argument("--data", type=Path, required=step is not table, help="folder with the published tables")
        step.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def _measure(options: argparse.Namespace) -> None:
    base = Table.load(options.out / TABLE)
    bench = Bench(options.data, options.out, Recipe(epochs=options.epochs, rows=options.rows), options.seed)
    for task in options.task or SOURCES:
        for part in [part for part in parts_of(task) if part in (options.part or parts_of(task))]:
            for variant in options.variant or VARIANTS:
                result = json.loads(run(bench, base, task, part, variant).read_text(encoding="utf-8"))
                print(f"{task} {part} {variant}: {result['scores']}, {result['seconds']:.0f} s", flush=True)


def _table(work: Path) -> None:
    found = gather(work)
    (work / "table.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (work / "table.md").write_text(to_markdown(found), encoding="utf-8")
    print(to_markdown(found))


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)
    return told(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    if options.step == "prepare":
        make_table(options.data, options.out, options.processes, options.limit)
    elif options.step == "trunk":
        minutes = {name: getattr(options, f"{name}_minutes") for name in ("teacher", "masked", "aligned", "taught")}
        make_trunk(options.data, options.out, options.scope, (Budget(**minutes), options.align_to), options.seed)
    elif options.step == "run":
        _measure(options)
    else:
        _table(options.out)


if __name__ == "__main__":
    sys.exit(main())
