"""`python -m workers.training.evaluate WAY --data DIR --model NAME`: how good a generator is, and what for."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from workers.errors import UserError
from workers.generator.evaluation.benchmarks import LARGEST
from workers.generator.evaluation.csp import csp
from workers.generator.evaluation.denovo import Proposals, denovo
from workers.generator.evaluation.desk import Desk, Json
from workers.generator.evaluation.steering import Drill, conditions
from workers.generator.evaluation.structures import Comparison, structures
from workers.generator.evaluation.trials import Exam
from workers.generator.generators import Generator, load_generator
from workers.training.mistakes import told


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m workers.training.evaluate",
        description="Measure a crystal generator. Figures are JSON; what they rest on lies beside them as JSON lines.",
        epilog="example: python -m workers.training.evaluate csp --data data --model crystal-generator --out csp.json",
    )
    ways = parser.add_subparsers(dest="way", required=True)
    found = ways.add_parser("csp", help="known structures of held-out compounds: found, and ranked first")
    proposals = ways.add_parser("denovo", help="crystals of no given formula: valid, unique, new, relaxed")
    steered = ways.add_parser("conditions", help="formula, space group, density, band gap, HHI: met or not")
    helped = ways.add_parser("structures", help="properties from compositions, generated structures, both: errors")
    for way in (found, proposals, steered, helped):
        _shared(way)
    for way, targets in ((found, 1000), (steered, 200)):
        way.add_argument("--benchmark", choices=sorted(LARGEST), default="mp20")
        way.add_argument("--split", choices=("test", "val"), default="test")
        way.add_argument("--targets", type=int, default=targets, help="a fixed random choice of so many; 0: all")
    found.add_argument("--formula-only", action="store_true", help="let the model choose the formula units")
    found.add_argument("--no-energies", action="store_true", help="leave out the rankings by energy")
    found.add_argument("--settle", type=int, default=0, help="rank so many targets' structures relaxed, too")
    steered.add_argument("--guidance", type=float, default=2.0, help="strength that is compared with none")
    proposals.add_argument("--max-atoms", type=int, default=20)
    proposals.add_argument("--relax", type=int, default=100, help="how many of the valid crystals are relaxed")
    helped.add_argument("--targets", type=int, default=0, help="materials of MP-20 test; 0: all that are unlearnt")
    helped.add_argument("--fitted", type=int, default=0, help="materials of MP-20 val that weights are fitted on")
    helped.add_argument("--rank", choices=("likelihood", "energy", "both"), default="energy")
    for way, steps in ((proposals, 100), (steered, 30), (helped, 30)):
        way.add_argument("--steps", type=int, default=steps, help="at most so many steps of a relaxation")
    for way in (proposals, steered):
        way.add_argument(
            "--charge-balanced", action="store_true", help="only formulas whose charges can add up to zero"
        )
    for way, samples in ((found, 20), (proposals, 1000), (steered, 64)):
        way.set_defaults(samples=samples)
    helped.set_defaults(samples=8, temperature=0.7)
    return parser.parse_args(argv)


def _shared(way: argparse.ArgumentParser) -> None:
    way.add_argument("--data", type=Path, required=True, help="folder with the published tables")
    way.add_argument("--model", required=True, help="a shipped generator by name, or a checkpoint's folder")
    way.add_argument("--samples", type=int, help="for each target, in all (denovo), or for each value (conditions)")
    way.add_argument("--temperature", type=float, default=0.8)
    way.add_argument("--seed", type=int, default=0)
    way.add_argument("--out", type=Path, help="file for the figures; samples are kept beside it")
    way.add_argument("--resume", action="store_true", help="go on with the samples and comparisons beside --out")
    way.add_argument("--device", default="cpu")
    way.add_argument("--processes", type=int, default=2, help="for comparisons and energies")


def _figures(options: argparse.Namespace, generator: Generator, desk: Desk) -> Json:
    draw = {"samples": options.samples, "temperature": options.temperature, "seed": options.seed}
    if options.way == "denovo":
        bounds = {"max_atoms": options.max_atoms, "relaxed": options.relax, "steps": options.steps}
        asked = Proposals(**draw, **bounds, charge_balanced=options.charge_balanced)
        return denovo(generator, options.data, asked, desk, options.device)
    if options.way == "structures":
        counts = {"targets": options.targets, "fitted": options.fitted, "steps": options.steps, "rank": options.rank}
        return structures(generator, options.data, Comparison(**draw, **counts), desk, options.device)
    chosen = {"benchmark": options.benchmark, "split": options.split, "targets": options.targets, **draw}
    if options.way == "conditions":
        steering = {"guidance": options.guidance, "steps": options.steps, "charge_balanced": options.charge_balanced}
        drill = Drill(**chosen, **steering)
        return conditions(generator, options.data, drill, desk, options.device)
    exam = Exam(**chosen, formula_only=options.formula_only)
    if options.no_energies and options.settle:
        raise UserError("--settle: what is relaxed is ranked by energies, which --no-energies leaves out")
    energies = None if options.no_energies else options.device
    return csp(generator, options.data, exam, desk, energies, options.settle)


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)
    return told(lambda: _evaluate(options))


def _evaluate(options: argparse.Namespace) -> None:
    generator = load_generator(options.model, options.device)
    with TemporaryDirectory() as folder:
        stem = options.out.with_suffix("") if options.out else Path(folder) / "figures"
        figures = _figures(options, generator, Desk(stem, options.resume, options.processes))
    text = json.dumps({"way": options.way, **figures}, indent=2)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    sys.exit(main())
