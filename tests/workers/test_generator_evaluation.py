"""Benchmarks of structure prediction, on hand-made cases whose figures are known."""

import json
from collections.abc import Sequence
from math import inf
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Element, Lattice, Structure, SymmOp

from workers.cards import Card
from workers.crystals import Crystal, from_structure, to_structure
from workers.errors import UserError
from workers.generator.evaluation import matching
from workers.generator.evaluation.benchmarks import held_out, known
from workers.generator.evaluation.csp import csp
from workers.generator.evaluation.desk import Desk, spread
from workers.generator.evaluation.matching import charged_distance, closest, distance, distances, matched, mean_distance
from workers.generator.evaluation.soundness import is_sound
from workers.generator.evaluation.trials import Exam, from_json, questions, to_json
from workers.generator.generators import Generator, load_generator
from workers.generator.requests import CrystalRequest, Generated
from workers.training.evaluate import main

NONE = Generated(None, -inf, "no cell")


def rocksalt(first: str, second: str, edge: float) -> Crystal:
    cell = Structure.from_spacegroup(225, Lattice.cubic(edge), [first, second], [[0] * 3, [0.5] * 3])
    return from_structure(cell.get_primitive_structure())


def caesium_chloride(first: str, second: str, edge: float) -> Crystal:
    return from_structure(Structure(Lattice.cubic(edge), [first, second], [[0] * 3, [0.5] * 3]))


def made(crystal: Crystal, log_mass: float = -1.0) -> Generated:
    return Generated(crystal, log_mass - 1, None, log_mass)


SALT, PRESSED, MAGNESIA = rocksalt("Na", "Cl", 5.6), caesium_chloride("Na", "Cl", 3.4), rocksalt("Mg", "O", 4.2)


class FakeGenerator:
    """Answers each formula from a list, in order."""

    card = Card("fake", "crystal-generator", "0", {}, 1)

    def __init__(self, **answers: Sequence[Generated]) -> None:
        self.answers = {formula: list(some) for formula, some in answers.items()}
        self.asked: list[CrystalRequest] = []

    def generate(self, requests: Sequence[CrystalRequest]) -> list[Generated]:
        self.asked += requests
        return [self.answers[request.formula or ""].pop(0) for request in requests]


def row(crystal: Crystal, split: str) -> dict[str, object]:
    return {
        "formula": crystal.formula,
        "split": split,
        "lattice": list(crystal.lattice),
        "species": [Element(symbol).Z for symbol in crystal.species],
        "frac_coords": [x for coords in crystal.coords for x in coords],
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [row(crystal, "test") for crystal in (SALT, PRESSED, MAGNESIA)]
    rows += [row(crystal, "val") for crystal in (SALT, MAGNESIA)]
    rows += [row(PRESSED, "train"), row(rocksalt("Ca", "O", 4.8), "train") | {"frac_coords": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "mp20.parquet")
    pq.write_table(pa.Table.from_pylist([row(SALT, "")]), tmp_path / "mp2025_structures.parquet")
    return tmp_path


def test_distances_are_those_of_the_benchmark() -> None:
    shifted = Crystal(SALT.lattice, SALT.species, ((0.0, 0.0, 0.0), (0.52, 0.52, 0.52)))
    assert distance(SALT, rocksalt("Na", "Cl", 6.6)) == pytest.approx(0, abs=1e-6)  # volumes do not count
    length = (SALT.volume / 2) ** (1 / 3)
    shift = 0.02 * (to_structure(SALT).lattice.get_cartesian_coords([1, 1, 1]) ** 2).sum() ** 0.5
    assert distance(SALT, shifted) == pytest.approx(shift / 2 / length, rel=1e-3)  # each site gives way by a half
    assert distance(SALT, PRESSED) is None
    assert distance(SALT, MAGNESIA) is None


def moved_about(crystal: Crystal) -> Crystal:
    """The same structure, turned, with another origin, another order of sites, and in a cell of twice the size."""
    structure = to_structure(crystal)
    structure.make_supercell([2, 1, 1])
    structure.apply_operation(SymmOp.from_axis_angle_and_translation([1, 2, 3], 40))
    structure.translate_sites(range(len(structure)), [0.1, 0.2, 0.3])
    return from_structure(Structure.from_sites(structure[::-1]))


def test_what_is_only_written_another_way_is_no_distance_away() -> None:
    rutile = from_structure(
        Structure.from_spacegroup(136, Lattice.tetragonal(4.6, 2.95), ["Ti", "O"], [[0] * 3, [0.305, 0.305, 0]])
    )
    for crystal in (SALT, rutile):
        assert distance(crystal, moved_about(crystal)) == pytest.approx(0, abs=1e-6)
        assert distance(moved_about(crystal), crystal) == pytest.approx(0, abs=1e-6)


def test_the_comparison_is_the_published_one() -> None:
    """DiffCSP, FlowMM and CrystaLLM: get_rms_dist(generated, known); the other way round differs now and then."""
    plain = StructureMatcher(ltol=0.3, stol=0.5, angle_tol=10)
    bct = from_structure(Structure(Lattice.tetragonal(4, 3.3), ["Po"] * 2, [[0] * 3, [0.5] * 3]))
    fcc = Crystal((4.0, 4.0, 4.0, 60.0, 60.0, 60.0), ("Po",), ((0.0, 0.0, 0.0),))
    assert plain.get_rms_dist(to_structure(fcc), to_structure(bct)) is None is distance(bct, fcc)
    assert plain.get_rms_dist(to_structure(bct), to_structure(fcc))[0] == distance(fcc, bct) == 0
    rng = np.random.default_rng(0)
    for _ in range(5):
        structure = to_structure(SALT) * (2, 1, 1)
        structure.perturb(0.4, seed=int(rng.integers(1000)))
        expected = plain.get_rms_dist(structure, to_structure(SALT))
        assert distance(SALT, from_structure(structure)) == (expected and pytest.approx(expected[0], abs=1e-9))


def test_what_pymatgen_cannot_compare_is_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    class Helpless(StructureMatcher):
        def get_rms_dist(self, struct1: Structure, struct2: Structure) -> None:
            raise ValueError("no reduced cell")

    monkeypatch.setattr(matching, "_matcher", Helpless)
    assert distances((SALT, [SALT, None])) == [None, None]


def test_what_is_missing_or_not_valid_is_a_miss() -> None:
    collapsed = Crystal((0.4, 0.4, 0.4, 60.0, 60.0, 60.0), SALT.species, SALT.coords)
    assert distances((SALT, [None, SALT, collapsed, SALT])) == [None, pytest.approx(0), None, pytest.approx(0)]


def test_figures_over_references() -> None:
    found = [0.1, None, 0.3]
    assert closest(found) == 0.1
    assert closest([None]) is None
    assert matched(found) == pytest.approx(2 / 3)
    assert mean_distance(found) == pytest.approx(0.2)
    assert mean_distance([None]) is None
    assert charged_distance(found) == pytest.approx((0.1 + 0.5 + 0.3) / 3)


def test_polymorphs_are_matched_by_samples_of_each_other(data: Path, tmp_path: Path) -> None:
    """Each NaCl polymorph is found by the other's request: no match one to one, all of METRe; MgO is never found."""
    order = [target.crystal for target in held_out(data, 0)]
    swapped = {SALT: PRESSED, PRESSED: SALT}
    answers = [made(swapped[crystal]) for crystal in order if crystal in swapped]
    generator = FakeGenerator(NaCl=answers, MgO=[NONE])
    figures = csp(generator, data, Exam(targets=0, samples=1), Desk(tmp_path / "a", processes=1), None)
    assert figures["targets"] == 3
    assert (figures["match_at_1"], figures["rms_at_1"], figures["valid"]) == (0.0, None, 66.7)
    assert (figures["metre_at_1"], figures["crmse_at_1"]) == (66.7, pytest.approx(0.5 / 3, abs=1e-4))
    assert len({request.seed for request in generator.asked}) == 3


def test_samples_are_ranked(data: Path, tmp_path: Path) -> None:
    """Of three samples for each: the known structure of MgO comes last, and is the most probable."""
    other = caesium_chloride("Mg", "O", 2.7)
    generator = FakeGenerator(NaCl=[made(SALT)] * 6, MgO=[NONE, made(other, -5.0), made(MAGNESIA, -2.0)])
    desk = Desk(tmp_path / "b", processes=1)
    figures = csp(generator, data, Exam(targets=0, samples=3), desk, "cpu")
    assert (figures["match_at_1"], figures["match_within_k"]) == (33.3, 66.7)  # one NaCl polymorph is never made
    assert figures["match_each"] == pytest.approx(100 * (1 + 0 + 1 / 3) / 3, abs=0.1)
    assert figures["structures"] == pytest.approx(4 / 3, abs=0.01)
    ranked = figures["ranked"]
    assert {by: ranked[by]["top_1"] for by in ("first", "log_mass", "energy")} == {
        "first": 33.3,
        "log_mass": 66.7,
        "energy": 66.7,
    }
    assert all(found["top_4"] == 66.7 for found in ranked.values())


def test_what_was_done_is_not_done_again(data: Path, tmp_path: Path) -> None:
    exam, answers = Exam(targets=0, samples=1), {"NaCl": [made(SALT)] * 2, "MgO": [NONE]}
    first = csp(FakeGenerator(**answers), data, exam, Desk(tmp_path / "c", processes=1), None)
    path = tmp_path / "c.samples.jsonl"
    whole = path.read_text()
    path.write_text(whole[:-20])  # killed while it wrote
    generator = FakeGenerator(**answers)
    again = csp(generator, data, exam, Desk(tmp_path / "c", resume=True, processes=1), None)
    assert len(generator.asked) == 1
    assert {**again, "crystals_per_second": 0} == {**first, "crystals_per_second": 0}
    with pytest.raises(UserError, match="made with another temperature; another --out, or no --resume, is expected"):
        hotter = Exam(targets=0, samples=1, temperature=2.0)
        csp(generator, data, hotter, Desk(tmp_path / "c", resume=True, processes=1), None)


def cut(path: Path) -> None:
    """What a killed process leaves: half of the lines, the last of them torn."""
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2]) + lines[len(lines) // 2][:5])


def test_work_that_was_killed_anywhere_comes_to_the_same(data: Path, tmp_path: Path) -> None:
    exam = Exam(targets=0, samples=3)
    answers = {"NaCl": [made(PRESSED), made(SALT), NONE] * 2, "MgO": [made(MAGNESIA), NONE, made(MAGNESIA)]}
    first = csp(FakeGenerator(**answers), data, exam, Desk(tmp_path / "k", processes=1), "cpu")
    for name in ("distances", "groups", "energies"):
        cut(tmp_path / f"k.{name}.jsonl")
        again = csp(FakeGenerator(), data, exam, Desk(tmp_path / "k", resume=True, processes=1), "cpu")
        assert again == first


def test_what_another_rule_compared_is_compared_anew(tmp_path: Path) -> None:
    Desk(tmp_path / "r").completed("a", {"rule": "loose", "n": 1}, 2, lambda start: iter([1, 2]))
    desk = Desk(tmp_path / "r", resume=True)
    assert desk.completed("a", {"rule": "strict", "n": 1}, 2, lambda start: iter([3, 4][start:])) == [3, 4]
    with pytest.raises(UserError, match="made with another n, rule"):
        desk.completed("a", {"rule": "loose", "n": 2}, 2, lambda start: iter([]))


def test_figures_that_compare_with_others(data: Path, tmp_path: Path) -> None:
    """NaCl has a polymorph in train; MgO has not, and does not pass a table in which magnesium is no cation."""
    states = [("Na", 1), ("Cl", -1), ("Mg", -2), ("O", -2)]
    rows = [{"element": symbol, "oxidation_state": state, "in_smact14": True} for symbol, state in states]
    pq.write_table(pa.Table.from_pylist(rows), data / "oxidation_states.parquet")
    generator = FakeGenerator(NaCl=[made(SALT)] * 2, MgO=[made(MAGNESIA)])
    figures = csp(generator, data, Exam(targets=0, samples=1), Desk(tmp_path / "s", processes=1), None)
    assert figures["match_at_1"] == 66.7
    unseen, strict = figures["not_in_mp20_train"], figures["smact_valid_only"]
    assert (unseen["targets"], unseen["match_at_1"]) == (1, 100.0)
    assert (strict["sound"], strict["match_at_1"]) == (66.7, 33.3)


def test_formulas_are_sound_when_charges_and_electronegativities_agree() -> None:
    states = {"Na": [1], "Cl": [-1, 1], "O": [-2], "F": [-1, 1]}
    assert is_sound(["Na", "Cl"], states)
    assert is_sound(["O"] * 2, states)  # elements and alloys need no charges
    assert is_sound(["Au", "Cu", "Sb"], states)
    assert not is_sound(["Na", "Na", "Cl"], states)
    assert not is_sound(["F", "F", "O"], states)  # neutral, but fluorine draws electrons from oxygen
    assert not is_sound(["Na", "Xe"], states)  # no states known


def test_larger_cells_are_asked_for_in_their_own_benchmark(data: Path) -> None:
    large = to_structure(SALT) * (5, 5, 1)
    pq.write_table(pa.Table.from_pylist([row(from_structure(large), "test")]), data / "mpts52.parquet")
    targets = held_out(data, 0, benchmark="mpts52")
    (request,) = questions(targets, Exam(benchmark="mpts52", samples=1))[0]
    assert (request.formula, request.units, request.max_atoms) == ("NaCl", 25, 52)


def test_weights_are_fitted_on_val_alone(data: Path, tmp_path: Path) -> None:
    answers = {"NaCl": [made(PRESSED), made(SALT)], "MgO": [made(MAGNESIA)] * 2}
    desk = Desk(tmp_path / "d", processes=1)
    val = csp(FakeGenerator(**answers), data, Exam(split="val", targets=0, samples=2), desk, None)
    assert set(val["weights"]) == {"without_energy"}
    test = csp(FakeGenerator(NaCl=[NONE] * 2, MgO=[NONE]), data, Exam(targets=0, samples=1), desk, None)
    assert "weights" not in test


def test_the_units_are_given_or_not(data: Path) -> None:
    targets = held_out(data, 0)
    given, free = (questions(targets, Exam(samples=1, formula_only=only)) for only in (False, True))
    assert {question[0].units for question in given} == {1}
    assert {question[0].units for question in free} == {None}
    assert questions(targets, Exam(samples=3))[0][:1] == given[0]  # more samples leave the first as they are


def test_the_choice_of_targets_is_fixed_and_grows(data: Path) -> None:
    assert held_out(data, 2) == held_out(data, 0)[:2]
    assert held_out(data, 1, "val")[0].units == 1
    with pytest.raises(UserError, match="split 'train2'"):
        held_out(data, 1, "train2")
    with pytest.raises(UserError, match="published tables"):
        held_out(data / "nowhere", 1)


def test_known_structures_are_those_with_coordinates(data: Path) -> None:
    train, every = known(data, {"NaCl", "CaO"})
    assert list(train) == ["NaCl"]
    assert len(train["NaCl"]) == 1
    assert len(every["NaCl"]) == 5  # two in test, one each in val, train and the later table


def test_answers_survive_being_written() -> None:
    for answer in (NONE, made(SALT), Generated(SALT, -1.5)):
        back = from_json(json.loads(json.dumps(to_json(answer))))
        assert (back.flaw, back.log_likelihood, back.log_mass) == (answer.flaw, answer.log_likelihood, answer.log_mass)
        assert (back.crystal is None) == (answer.crystal is None)


def test_a_file_without_a_whole_line_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "x.a.jsonl").write_text('{"half')
    desk = Desk(tmp_path / "x", resume=True)
    assert desk.completed("a", {}, 2, lambda start: iter([1, 2][start:])) == [1, 2]
    assert desk.completed("a", {}, 3, lambda start: iter([1, 2, 3][start:])) == [1, 2, 3]


def test_work_is_spread_in_order() -> None:
    assert list(spread(abs, [-3, 2, -1], 2)) == list(spread(abs, [-3, 2, -1], 1)) == [3, 2, 1]


def test_other_models_make_no_crystals() -> None:
    assert isinstance(FakeGenerator(), Generator)
    with pytest.raises(UserError, match="'composition-predictor': it makes no crystals"):
        load_generator("composition-predictor", "cpu")


def test_the_command_tells_mistakes_in_a_line(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["csp", "--data", str(data), "--model", "horoscope"]) == 2
    assert capsys.readouterr().err.startswith("checkpoint horoscope: not found")
