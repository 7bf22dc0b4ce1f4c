"""`python -m workers.training NAME prepare|train|evaluate --data DIR`: make the checkpoints that are shipped."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

MODULES = {
    "composition-predictor": "workers.predictors.training",
    "crystal-generator": "workers.generator.training",
    "structure-predictor": "workers.judge_training",
}


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
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)
    module = import_module(MODULES[options.name])
    work = options.out or Path(".training") / options.name
    work.mkdir(parents=True, exist_ok=True)
    if options.step == "prepare":
        module.prepare(options.data, work)
    elif options.step == "train":
        module.train(work, options.device, options.minutes, options.resume, options.seed)
    else:
        module.evaluate(options.data, work, options.device, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
