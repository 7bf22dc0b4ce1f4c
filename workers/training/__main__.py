"""`python -m workers.training NAME prepare|train|evaluate --data DIR`: make the checkpoints that are shipped."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from workers.training.mistakes import told

MODULES = {
    "composition-predictor": "workers.predictors.training",
    "crystal-generator": "workers.generator.symmetry.training",
    "crystallm-generator": "workers.generator.crystallm.training",
    "materium-generator": "workers.generator.materium.training",
    "structure-predictor": "workers.judge_training",
}
PREPARE = {  # where it needs more than training does
    "crystal-generator": "workers.generator.symmetry.dataset",
    "crystallm-generator": "workers.generator.crystallm.dataset",
    "materium-generator": "workers.generator.materium.dataset",
}
SIZED = ("crystal-generator", "materium-generator")
SCOPED = ("crystal-generator",)
ORDERED = ("materium-generator",)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m workers.training",
        description="Prepare data for a model, train it, or measure it.",
        epilog="example: python -m workers.training crystal-generator train --data data --minutes 60",
    )
    parser.add_argument("name", choices=sorted(MODULES))
    parser.add_argument("step", choices=("prepare", "train", "evaluate"))
    parser.add_argument("--data", type=Path, required=True, help="folder with the published tables")
    parser.add_argument("--out", type=Path, help="work folder (.training/NAME)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float, default=60.0, help="time budget of train")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", choices=("small", "base", "paper"), help=f"of {' and '.join(SIZED)}: small")
    parser.add_argument("--scope", choices=("mp20", "product"), help="what crystal-generator learns from: product")
    parser.add_argument(
        "--order", choices=("low", "high", "xyz", "random"), help=f"of the atoms, {' and '.join(ORDERED)}: high"
    )
    options = parser.parse_args(argv)
    for flag, names in (("size", SIZED), ("scope", SCOPED), ("order", ORDERED)):
        if getattr(options, flag) and options.name not in names:
            parser.error(f"argument --{flag}: {options.name} has none")
    if options.step == "evaluate" and options.name.endswith("-generator"):
        parser.error("argument step: generators are measured by python -m workers.training.evaluate")
    return options


def _given(options: argparse.Namespace, *flags: str) -> dict[str, str]:
    return {flag: value for flag in flags if (value := getattr(options, flag))}


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)
    return told(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    modules = PREPARE if options.step == "prepare" and options.name in PREPARE else MODULES
    module = import_module(modules[options.name])
    work = options.out or Path(".training") / options.name
    work.mkdir(parents=True, exist_ok=True)
    if options.step == "prepare":
        module.prepare(options.data, work, **_given(options, "scope"))
    elif options.step == "train":
        chosen = _given(options, "size", "order")
        module.train(work, options.device, options.minutes, options.resume, options.seed, **chosen)
    else:
        module.evaluate(options.data, work, options.device, options.seed)


if __name__ == "__main__":
    sys.exit(main())
