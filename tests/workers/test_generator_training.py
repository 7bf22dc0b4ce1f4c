"""Preparing and training on a handful of crystals: it learns, resumes, and leaves a checkpoint that loads."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from math import log
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pymatgen.core import Element, Lattice, Structure
from safetensors.torch import load_file

from workers.cards import load_checkpoint
from workers.errors import UserError
from workers.generator import run as running
from workers.generator.conditions import CONDITIONS
from workers.generator.requests import CrystalRequest
from workers.generator.run import Run
from workers.generator.symmetry import dataset, grammar, training
from workers.generator.symmetry.batches import crystals, pack, proposals
from workers.generator.symmetry.generator import CrystalGenerator
from workers.generator.symmetry.grammar import condition_rows, formula_of
from workers.generator.symmetry.losses import losses, measure
from workers.generator.symmetry.network import SIZES, GeneratorConfig, GeneratorModel
from workers.generator.symmetry.orbits import encode
from workers.generator.symmetry.tokens import PARTS, Tokens, load
from workers.generator.symmetry.training import Recipe, begun
from workers.generator.symmetry.vocabulary import (
    ANY_STABILITY,
    COORDINATE_AT,
    GROUP_AT,
    MAX_ATOMS,
    NEAR_HULL,
    PADDING,
    VOLUME_AT,
    Column,
    Role,
)
from workers.symbols import SYMBOLS
from workers.training import __main__ as command

ROOT = Path(__file__).parents[2]
TINY = GeneratorConfig(width=32, layers=1, heads=2, dropout=0.1)
HEAVY = {"pymatgen", "spglib", "ase", "chgnet"}  # a machine that only trains need not have them


def _row(name: str, structure: Structure, **others: object) -> dict[str, object]:
    primitive = structure.get_primitive_structure()
    return {
        "material_id": name,
        "formula": structure.composition.reduced_formula,
        "nsites": len(primitive),
        "lattice": [float(x) for x in primitive.lattice.parameters],
        "species": [Element(site.specie.symbol).Z for site in primitive],
        "frac_coords": [float(x) for x in primitive.frac_coords.ravel()],
        "density": float(structure.density),
        **others,
    }


def salt(first: str, second: str, edge: float) -> Structure:
    return Structure.from_spacegroup(225, Lattice.cubic(edge), [first, second], [[0, 0, 0], [0.5, 0.5, 0.5]])


def rutile(metal: str, a: float, c: float) -> Structure:
    return Structure.from_spacegroup(136, Lattice.tetragonal(a, c), [metal, "O"], [[0, 0, 0], [0.305, 0.305, 0]])


def corundum(metal: str, a: float, c: float) -> Structure:
    return Structure.from_spacegroup(167, Lattice.hexagonal(a, c), [metal, "O"], [[0, 0, 0.3523], [0.3064, 0, 0.25]])


LEARNT = [salt("Na", "Cl", 5.6), salt("K", "Cl", 6.3), salt("Ni", "O", 4.2), rutile("Sn", 4.74, 3.19)]
LEARNT += [corundum("Al", 4.76, 12.99)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MP-20, MPTS-52 and later structures in little, with leaks that must not be learnt."""
    folder = tmp_path_factory.mktemp("data")
    labels = {"band_gap": 3.0, "mag_density": None, "bulk_modulus": 100.0}
    rows = [_row(f"mp-{i}", structure, split="train", **labels) for i, structure in enumerate(LEARNT)]
    rows += [_row("mp-10", rutile("Ti", 4.59, 2.96), split="train", **labels)]  # in MPTS-52
    rows += [_row("mp-11", salt("Li", "F", 4.0), split="train", **labels) | {"frac_coords": None}]
    rows += [_row("mp-20", salt("Ca", "O", 4.8), split="val", **labels)]
    rows += [_row("mp-30", salt("Na", "F", 4.6), split="test", **labels)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "mp20.parquet")
    later = {"new": salt("Sr", "O", 5.2), "test": salt("Na", "F", 4.6), "val": salt("Ca", "O", 4.8)}
    later |= {"mpts": salt("Ba", "O", 5.5), "mp-0": salt("Na", "Cl", 5.6), "mpts-too": rutile("Ti", 4.6, 2.9)}
    table = [_row(name, structure, band_gap_mp2018=None) for name, structure in later.items()]
    table[0]["band_gap_mp2018"] = 5.0
    pq.write_table(pa.Table.from_pylist(table), folder / "mp2025_structures.parquet")
    pq.write_table(pa.table({"formula": ["TiO2", "BaO"], "split": ["val", "test"]}), folder / "mpts52.parquet")
    return folder


@pytest.fixture(scope="module")
def work(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    dataset.prepare(data, folder, "product", processes=1)
    return folder


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A tiny network, small batches, and a clock that ticks a second at every look; it can be stopped at a tick."""
    monkeypatch.setitem(SIZES, "small", TINY)
    monkeypatch.setattr(training, "Recipe", lambda: Recipe(batch_rows=24, warmup=5, checkpoint_seconds=3.0))

    def start(stops: int | None = None) -> None:
        ticks = iter(range(1, stops or 1_000_000))
        tick = lambda: float(next(ticks))  # noqa: E731
        monkeypatch.setattr(running, "time", SimpleNamespace(process_time=tick, monotonic=tick))

    start()
    yield start


def copy_of(work: Path, folder: Path) -> Path:
    (folder / "tokens.npz").symlink_to(work / "tokens.npz")
    return folder


def formulas(tokens: Tokens, *parts: str) -> set[str]:
    found = set()
    for member in tokens.members(*parts):
        rows = tokens.rows[slice(*tokens.starts[member : member + 2])]
        told = rows[rows[:, Column.ROLE] == Role.FORMULA]
        pairs = sorted((SYMBOLS[n - 1], int(c)) for n, c in told[:, [Column.ELEMENT, Column.COUNT]].tolist())
        found.add("".join(f"{symbol}{count}" for symbol, count in pairs))
    return found


def test_held_out_formulas_are_not_learnt(work: Path) -> None:
    tokens = load(work)
    assert formulas(tokens, "train") == {"Cl1Na1", "Cl1K1", "Ni1O1", "O2Sn1", "Al2O3"}
    assert formulas(tokens, "val") == {"Ca1O1"}
    assert formulas(tokens, "extra") == {"O1Sr1"}
    assert formulas(tokens, "test") == set()
    assert len(tokens) == 7


def test_mp20_alone_is_its_training_split(data: Path, tmp_path: Path) -> None:
    assert command.main(
        ["crystal-generator", "prepare", "--data", str(data), "--out", str(tmp_path), "--scope", "mp20"]
    ) == 0  # fmt: skip
    tokens = load(tmp_path)
    assert formulas(tokens, "train") == {"Cl1Na1", "Cl1K1", "Ni1O1", "O2Sn1", "Al2O3", "O2Ti1"}
    assert formulas(tokens, "val") == {"Ca1O1"}
    assert formulas(tokens, "test", "extra") == set()


def test_in_training_some_elements_are_known_by_their_chemistry_alone(work: Path) -> None:
    model = begun(work, Recipe(), 0).model
    chemistry = model.element_from(model.element_features)
    named = (model.train().tables()[1] - chemistry).abs().sum(1) > 0
    assert 0 < named.sum() < len(named)
    assert torch.equal(model.eval().tables()[1], chemistry + model.element.weight)


def test_only_later_structures_start_as_of_any_stability(work: Path) -> None:
    tokens = load(work)
    for part, wanted in (("train", NEAR_HULL), ("val", NEAR_HULL), ("extra", ANY_STABILITY)):
        for member in tokens.members(part):
            rows = tokens.rows[slice(*tokens.starts[member : member + 2])]
            proposal = tokens.proposals[slice(*tokens.proposal_starts[member : member + 2])]
            assert set(rows[rows[:, Column.ROLE] == Role.START, Column.VALUE]) == {wanted}
            assert set(proposal[proposal[:, Column.ROLE] == Role.PROPOSE, Column.VALUE]) == {wanted}


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="mp20.parquet"):
        dataset.prepare(tmp_path, tmp_path)


def test_tokens_are_those_of_the_crystals(work: Path) -> None:
    tokens = load(work)
    for member, structure in zip(tokens.members("train"), LEARNT, strict=True):
        matrix, numbers = np.asarray(structure.lattice.matrix), np.array(structure.atomic_numbers)
        crystal = encode(matrix, numbers, np.asarray(structure.frac_coords))
        assert crystal is not None
        np.testing.assert_array_equal(tokens.rows[slice(*tokens.starts[member : member + 2])], grammar.rows(crystal))
        starts = tokens.proposal_starts[member : member + 2]
        proposal = tokens.proposals[slice(*starts)]
        elements = proposal[proposal[:, Column.NEXT_ROLE] == Role.ELEMENT, Column.TARGET].tolist()
        assert elements == [number for number, _ in formula_of(crystal)] + [0]
        first = structure.density
        told = [line[Column.VALUE] for line in condition_rows({"density": first, "band_gap": 3.0}, crystal.group)]
        known = [value for value in tokens.wanted[member].tolist() if value >= 0]
        assert told[0] == known[0] and told[1] == known[1] and told[-1] == known[-1] == GROUP_AT + crystal.group
        assert len(known) == 5  # magnetization alone is unknown


def test_labels_follow_their_tables(work: Path) -> None:
    tokens = load(work)
    names = [condition.name for condition in CONDITIONS]
    extra = dict(zip(names, tokens.wanted[tokens.members("extra")[0]].tolist(), strict=False))
    assert extra["bulk_modulus"] == extra["magnetization_density"] == -1
    assert min(extra["density"], extra["hhi"], extra["band_gap"]) >= 0


def test_batches_hold_every_crystal_once(work: Path) -> None:
    tokens, rng = load(work), np.random.default_rng(0)
    members = tokens.members("train", "extra").tolist()
    found = list(pack(crystals(tokens, members, rng), 48, rng))
    assert sum(len(rows) for rows in found) == len(members) == 6
    assert len(found) > 1
    assert all(rows.shape[0] * rows.shape[1] <= 48 or len(rows) == 1 for rows in found)
    groups = sorted(int(g) for rows in found for g in rows[rows[..., Column.NEXT_ROLE] == Role.GROUP][:, Column.TARGET])
    assert groups == [136, 167, 225, 225, 225, 225]
    for line in (line for rows in found for line in rows.tolist()):
        filled = [row != PADDING for row in line]
        assert filled == sorted(filled, reverse=True)  # all padding at the end
        roles = [row[Column.ROLE] for row in line]
        assert all(role == Role.CONDITION for role in roles[: roles.index(Role.FORMULA)])


def test_conditions_are_shown_half_of_the_time_and_never_when_watched(work: Path) -> None:
    tokens, rng = load(work), np.random.default_rng(0)
    member = int(tokens.members("train")[0])
    shown = crystals(tokens, [member] * 2000, rng).wanted
    assert sum(not len(wanted) for wanted in shown) / 2000 == pytest.approx(0.5 + 0.5 * 0.5**5, abs=0.04)
    assert {int(v) for wanted in shown for v in wanted} == {v for v in tokens.wanted[member].tolist() if v >= 0}
    assert all(sorted(wanted, key=tokens.wanted[member].tolist().index) == list(wanted) for wanted in shown)
    watched = crystals(tokens, [member] * 50, rng, steered=False)
    assert not any(len(wanted) for wanted in watched.wanted)


CHANCES = {"UNITS": MAX_ATOMS + 1, "GROUP": 231, "VOLUME": 320, "B_TO_A": 480, "FIRST": 960}
SPELT = {"ELEMENT": 119, "AMOUNT": MAX_ATOMS + 1}


@pytest.mark.parametrize(("scale", "near"), [(0.0, 1e-4), (1.0, 1.5)], ids=["all alike", "random"])
def test_a_network_that_knows_nothing_is_as_uncertain_as_chance(work: Path, scale: float, near: float) -> None:
    run, tokens, rng = begun(work, Recipe(), seed=0), load(work), np.random.default_rng(0)
    model = run.model.eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    members = tokens.members("train").tolist()
    found = measure(model, pack(crystals(tokens, members, rng, steered=False), 400, rng))
    for name, count in CHANCES.items():
        assert found[name] == pytest.approx(log(count), abs=near), name
    kinds = measure(model, pack(proposals(tokens, members, rng), 400, rng))
    for name, count in SPELT.items():
        assert kinds[name] == pytest.approx(log(count), abs=near), name
    orbits = [12] * 6 + [11] * 2 + [6] * 2  # positions of Fm-3m, P4_2/mnm and R-3c, for each of the crystals' orbits
    assert found["POSITION"] == pytest.approx(np.mean(np.log(orbits)), abs=near)
    counts = 5 * (log(65) + log(231) + log(320)) + 2 * log(480) + 3 * log(960) + np.log(orbits).sum()
    assert found["crystal"] == pytest.approx(counts / 5, abs=5 * near)
    assert 0 < found["OFFSET"] < 0.5


def test_padding_and_conditions_change_no_count(work: Path) -> None:
    run, tokens = begun(work, Recipe(), seed=0), load(work)
    together = crystals(tokens, [0, 3, 4], np.random.default_rng(0), steered=False)
    rng = np.random.default_rng(0)
    (rows,) = pack(together, 10_000, rng)
    run.model.eval()
    with torch.no_grad():
        whole = losses(run.model, rows, 0.0)
        alone: dict[str, list[float]] = {}
        for line in rows:
            end = int((line != torch.tensor(PADDING)).any(dim=1).sum())
            for name, (loss, n) in losses(run.model, line[None, :end], 0.0).items():
                alone.setdefault(name, []).extend([float(loss), n])
    for name, (loss, n) in whole.items():
        assert sum(alone[name][1::2]) == n
        assert sum(alone[name][::2]) == pytest.approx(float(loss), rel=1e-4)


@pytest.mark.parametrize(("role", "first", "count"), [(Role.VOLUME, VOLUME_AT, 320), (Role.FIRST, COORDINATE_AT, 960)])
def test_blur_forgives_a_near_miss(work: Path, role: Role, first: int, count: int) -> None:
    run, tokens, rng = begun(work, Recipe(), seed=0), load(work), np.random.default_rng(0)
    (rows,) = pack(crystals(tokens, [3], rng, steered=False), 10_000, rng)  # SnO2 with its one coordinate
    target = int(rows[rows[..., Column.NEXT_ROLE] == role][0, Column.TARGET])

    def loss(missed: int, blur: float) -> float:
        with torch.no_grad():
            for parameter in run.model.parameters():
                parameter.zero_()
            run.model.bias[first + (target + missed) % count] = 4.0
            found, n = losses(run.model.eval(), rows, blur)[role.name]
        assert n == 1
        return float(found)

    blurred = [loss(missed, 2.0) for missed in (0, 1, 2, 4, 12)]
    assert blurred == sorted(blurred) and len(set(blurred)) == 5
    sharp = [loss(missed, 0.0) for missed in (0, 1, 12)]
    assert sharp[0] < sharp[1] == pytest.approx(sharp[2])
    if role == Role.FIRST:  # a coordinate beyond the end is near the beginning
        assert loss(count - 1, 2.0) == pytest.approx(blurred[1], rel=1e-4)


def test_it_learns(work: Path, tmp_path: Path, clock: Callable[..., None]) -> None:
    folder = copy_of(work, tmp_path)
    before = _loss(folder, begun(folder, Recipe(), seed=0))
    training.train(folder, "cpu", minutes=2.0, resume=False, seed=0)  # 120 steps
    run = begun(folder, Recipe(), seed=0)
    run.restore()
    assert _loss(folder, run) < 0.6 * before
    assert json.loads((folder / "run.json").read_text())["step"] == run.progress.step == 120


def _loss(folder: Path, run: Run[GeneratorModel]) -> float:
    tokens, rng = load(folder), np.random.default_rng(0)
    batches = pack(crystals(tokens, tokens.members("train").tolist(), rng, steered=False), 400, rng)
    return measure(run.averaged(), batches)["crystal"]


def test_killed_and_resumed_it_is_what_it_would_have_been(
    work: Path, tmp_path_factory: pytest.TempPathFactory, clock: Callable[..., None]
) -> None:
    whole, broken = (copy_of(work, tmp_path_factory.mktemp("run")) for _ in range(2))
    training.train(whole, "cpu", minutes=0.5, resume=False, seed=1)
    clock(stops=24)
    with pytest.raises(StopIteration):  # in the middle of an epoch, some steps after it saved
        training.train(broken, "cpu", minutes=0.5, resume=False, seed=1)
    state = json.loads((broken / "run.json").read_text())
    assert 0 < state["step"] < 22 and state["batch"] > 0
    clock()
    training.train(broken, "cpu", minutes=0.5, resume=True, seed=1)
    assert (whole / "run.json").read_text() == (broken / "run.json").read_text()
    first, second = load_file(whole / "run.safetensors"), load_file(broken / "run.safetensors")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert load_checkpoint(whole / "checkpoint")[0].model_id == load_checkpoint(broken / "checkpoint")[0].model_id


def test_the_moving_average_follows_the_weights(work: Path, clock: Callable[..., None]) -> None:
    run, tokens, rng = begun(work, Recipe(), seed=0), load(work), np.random.default_rng(0)
    (rows,) = pack(crystals(tokens, [0, 1], rng), 10_000, rng)
    for _ in range(3):
        before = {name: p.detach().clone() for name, p in run.average.items()}
        run.update(lambda: losses(run.model, rows, 2.0), 0.0)
        weights = dict(run.model.named_parameters())
        share = (run.progress.step + 1) / (run.progress.step + 10)
        for name in ("bias", "value.weight"):
            torch.testing.assert_close(run.average[name], share * before[name] + (1 - share) * weights[name])
    average = dict(run.averaged().named_parameters())
    assert all(torch.equal(average[name], p) for name, p in run.average.items())


def test_the_rate_warms_up_and_cools_down(work: Path, clock: Callable[..., None]) -> None:
    run = begun(work, Recipe(warmup=10, peak_rate=1.0), seed=0)
    assert run.rate(0.0) == pytest.approx(0.1)
    run.progress.step = 100
    rates = [run.rate(share) for share in np.linspace(0, 1, 20)]
    assert rates == sorted(rates, reverse=True)
    assert (rates[0], rates[-1], run.rate(2.0)) == pytest.approx((1.0, 0.02, 0.02))


def test_going_on_needs_more_time_and_uses_it(work: Path, tmp_path: Path, clock: Callable[..., None]) -> None:
    folder = copy_of(work, tmp_path)
    training.train(folder, "cpu", minutes=0.1, resume=False, seed=0)
    before = json.loads((folder / "run.json").read_text())
    clock()
    training.train(folder, "cpu", minutes=0.2, resume=True, seed=0)
    after = json.loads((folder / "run.json").read_text())
    assert (before["step"], after["step"]) == (6, 12)
    assert after["seconds"] == 2 * before["seconds"]


def test_a_run_that_had_no_time_goes_on_as_one_that_begins(
    work: Path, tmp_path: Path, clock: Callable[..., None]
) -> None:
    folder = copy_of(work, tmp_path)
    training.train(folder, "cpu", minutes=0.0, resume=False, seed=0)
    clock()
    training.train(folder, "cpu", minutes=0.1, resume=True, seed=0)
    assert json.loads((folder / "run.json").read_text())["step"] == 6


def test_the_checkpoint_loads_and_generates(work: Path, tmp_path: Path, clock: Callable[..., None]) -> None:
    folder = copy_of(work, tmp_path)
    training.train(folder, "cpu", minutes=0.1, resume=False, seed=4)
    card, arrays = load_checkpoint(folder / training.CHECKPOINT)
    assert (card.kind, card.name, card.seed, card.config) == ("crystal-generator", "crystal-generator", 4, asdict(TINY))
    assert "5 structures" in card.data and "(1)" in card.data and "MPTS-52" in card.held_out
    assert "--seed 4" in card.command and "--minutes 0.1" in card.command
    average = load_file(folder / "run.safetensors")["average.bias"].half().numpy()
    np.testing.assert_array_equal(arrays["bias"], average)
    asked = [CrystalRequest("NaCl", seed) for seed in range(4)] + [CrystalRequest(None, 9)]
    answers = CrystalGenerator(card, arrays).generate(asked)
    assert all(answer.crystal is not None or answer.flaw for answer in answers)
    assert {answer.crystal.formula for answer in answers[:4] if answer.crystal} <= {"NaCl"}


def test_other_devices_are_refused(work: Path) -> None:
    with pytest.raises(UserError, match="abacus"):
        training.train(work, "abacus", minutes=0.01, resume=False, seed=0)


def test_the_command_knows_its_models(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(["crystal-ball", "train", "--data", "."])
    assert stopped.value.code == 2
    assert "crystal-generator" in capsys.readouterr().err


@pytest.mark.parametrize(("flag", "value"), [("--scope", "mp20"), ("--size", "base")])
def test_the_command_refuses_what_a_model_does_not_have(
    flag: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.main(["structure-predictor", "train", "--data", ".", flag, value])
    assert f"{flag}: structure-predictor has none" in capsys.readouterr().err


def test_training_needs_neither_chemistry_nor_symmetry() -> None:
    names = [name for model, name in command.MODULES.items() if model.endswith("-generator")]
    there = [name for name in names if (ROOT / name.replace(".", "/")).with_suffix(".py").is_file()]
    code = f"import sys, {', '.join(there)}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert "torch" in loaded
    assert not loaded & HEAVY


def test_a_run_of_another_size_or_without_data_is_told_in_a_line(
    work: Path, tmp_path: Path, clock: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command_line = ["crystal-generator", "train", "--data", str(tmp_path), "--out", str(tmp_path)]
    assert command.main(command_line) == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'tokens.npz'}: not found")
    training.train(copy_of(work, tmp_path), "cpu", 0.1, False, 0)
    capsys.readouterr()
    assert command.main([*command_line, "--resume", "--size", "base"]) == 2
    assert capsys.readouterr().err == f"--resume: {tmp_path} holds a run of a model of another size\n"


def test_arrays_fit_together(work: Path) -> None:
    tokens = load(work)
    assert len(PARTS) == 4 and tokens.part.max() < len(PARTS)
    assert tokens.wanted.shape == (len(tokens), len(CONDITIONS) + 1)
    assert len(tokens.starts) == len(tokens.proposal_starts) == len(tokens) + 1
    assert tokens.starts[-1] == len(tokens.rows) and tokens.proposal_starts[-1] == len(tokens.proposals)
