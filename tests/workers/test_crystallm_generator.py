"""What CrystaLLM returns, whatever its network thinks: random weights make any crystal that the grammar allows."""

from collections import Counter
from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pytest
import torch

from workers.cards import Card
from workers.compositions import parse_formula
from workers.crystals import flaw, space_group, to_structure
from workers.errors import CheckpointError
from workers.generator.crystallm.cells import CellCounts, count_cells
from workers.generator.crystallm.draft import CifDraft, Plan
from workers.generator.crystallm.generator import CrystaLLMGenerator
from workers.generator.crystallm.network import CrystaLLM, CrystaLLMConfig
from workers.generator.crystallm.tokens import numbers
from workers.generator.requests import CrystalRequest, Generated

CONFIG = CrystaLLMConfig(width=24, layers=1, heads=3, context=512, bias=True)
ARRAYS = dict[str, np.ndarray]
GROUPS = ("Pnma", "P4_2/mnm", "Fm-3m", "R-3m", "P6_3/mmc", "Pm-3m", "C2/m", "I4/mmm")


@cache
def arrays() -> ARRAYS:
    """Random weights, but edges of one digit before the point and a few space groups are what they like best."""
    torch.manual_seed(1)
    weights = {name: array.numpy().copy() for name, array in CrystaLLM(CONFIG).state_dict().items()}
    weights["norm.bias"][0] = 1.0
    weights["token.weight"][:, 0] = 0.0
    for word, liking in {
        ".": 12.0,
        "5": 2.0,
        "6": 2.0,
        "7": 2.0,
        **dict.fromkeys((f"{g}_sg" for g in GROUPS), 9.0),
    }.items():
        weights["token.weight"][numbers()[word], 0] = liking
    return weights


def card(**fields: object) -> Card:
    return Card("random", "crystallm-generator", "0", {**asdict(CONFIG), **fields}, tile=16)


@cache
def generator() -> CrystaLLMGenerator:
    return CrystaLLMGenerator(card(), arrays())


REQUESTS = [
    *(CrystalRequest("NaCl", seed, space_group=225) for seed in range(3)),
    *(CrystalRequest("TiO2", seed, units=2, space_group=136) for seed in range(3)),
    *(CrystalRequest("BaTiO3", seed, units=1, space_group=221) for seed in range(2)),
    *(CrystalRequest("Bi2Te3", seed, space_group=166, units=1) for seed in range(3)),
    *(CrystalRequest("CaF2", seed, units=2) for seed in range(3)),
    *(CrystalRequest("CuO", seed, max_atoms=4) for seed in range(2)),
]


@cache
def answers() -> list[Generated]:
    return generator().generate(REQUESTS)


def made() -> list[tuple[CrystalRequest, Generated]]:
    return [(asked, found) for asked, found in zip(REQUESTS, answers(), strict=True) if found.crystal is not None]


def test_most_requests_are_met_even_by_random_weights() -> None:
    assert len(made()) > len(REQUESTS) / 2, [found.flaw for found in answers()]


def test_every_crystal_has_exactly_the_asked_stoichiometry() -> None:
    for asked, found in made():
        assert found.crystal is not None
        assert found.crystal.formula == parse_formula(str(asked.formula)).formula


def test_every_crystal_has_the_asked_content_and_is_valid() -> None:
    for asked, found in made():
        assert found.crystal is not None
        atoms = len(found.crystal.species)
        assert asked.units is None or atoms == asked.units * parse_formula(str(asked.formula)).atoms
        assert atoms <= asked.max_atoms
        assert flaw(found.crystal) is None


def test_atoms_on_fixed_positions_have_the_asked_symmetry() -> None:
    found = [space_group(found.crystal, 0.01) for asked, found in made() if asked.formula == "BaTiO3" and found.crystal]
    assert found and set(found) == {221}


def test_what_failed_says_why_in_one_line() -> None:
    for found in answers():
        assert (found.crystal is None) == (found.flaw is not None)
        assert "\n" not in (found.flaw or "")


def test_a_likelihood_is_that_of_what_was_left_open() -> None:
    for _, found in made():
        assert -1000 < found.log_likelihood < 0
        assert found.log_mass == pytest.approx(found.log_likelihood)


@pytest.mark.parametrize("index", [0, 4, 11])
def test_a_crystal_is_the_same_alone_and_in_a_batch(index: int) -> None:
    assert generator().generate([REQUESTS[index]]) == [answers()[index]]


def test_the_order_of_requests_changes_nothing() -> None:
    assert generator().generate(REQUESTS[5::-1]) == answers()[5::-1]


def test_another_seed_is_another_crystal() -> None:
    found = {found.crystal for asked, found in made() if asked.formula == "TiO2"}
    assert len(found) == sum(asked.formula == "TiO2" for asked, _ in made())


def test_what_outgrows_its_tile_is_written_again_with_more_room() -> None:
    request = CrystalRequest("LaMnO3", 3, units=4, space_group=62, temperature=1.0)
    (found,) = generator().generate([request])
    assert found.flaw is not None or (found.crystal is not None and len(found.crystal.species) == 20)


REFUSED = {
    "no formula": CrystalRequest(None, 0),
    "density": CrystalRequest("NaCl", 0, wanted=(("density", 2.0),)),
    "Am": CrystalRequest("AmO2", 0),
    "P4_222": CrystalRequest("NaCl", 0, space_group=93),
    "space group 231": CrystalRequest("NaCl", 0, space_group=231),
    "fit into space group 225": CrystalRequest("Al2O3", 0, units=1, space_group=225),
    "fit into 20 atoms": CrystalRequest("NaCl", 0, units=40),
    "at most 10": CrystalRequest("Y3Al5O12", 0, max_atoms=10),
    "fractional": CrystalRequest("Na0.5Cl", 0),
    "formula 'Xx'": CrystalRequest("Xx", 0),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_met_is_refused_in_one_line(reason: str) -> None:
    (found,) = generator().generate([REFUSED[reason]])
    assert found.crystal is None and found.log_likelihood == -float("inf")
    assert found.flaw is not None and "\n" not in found.flaw
    assert reason in found.flaw


def test_a_context_that_the_elements_fill_is_a_refusal() -> None:
    weights = arrays() | {"position.weight": arrays()["position.weight"][:40]}
    (found,) = CrystaLLMGenerator(card(context=40), weights).generate([REQUESTS[0]])
    assert "40 tokens" in (found.flaw or "")


def test_a_context_that_ends_before_the_text_does_is_a_flaw() -> None:
    weights = arrays() | {"position.weight": arrays()["position.weight"][:200]}
    (found,) = CrystaLLMGenerator(card(context=200), weights).generate([REQUESTS[3]])
    assert "200 tokens" in (found.flaw or "")


@pytest.mark.parametrize(
    ("weights", "fields"),
    [
        ({}, {"width": 25}),
        ({}, {"layers": 2}),
        ({}, {"colour": 2}),
        ({"norm.weight": np.full(24, np.nan, dtype=np.float32)}, {}),
        ({"norm.weight": np.ones(23, dtype=np.float32)}, {}),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights: ARRAYS, fields: dict[str, object]) -> None:
    with pytest.raises(CheckpointError) as error:
        CrystaLLMGenerator(card(**fields), arrays() | weights)
    assert "\n" not in str(error.value)


def test_a_draft_leaves_open_only_what_the_formula_and_the_group_leave_open() -> None:
    draft = CifDraft(Plan({"Na": 4, "Cl": 4}, 4, 225, 400, 512))
    drawn = 0
    while not draft.done:
        allowed = np.flatnonzero(draft.allowed())[::-1]
        drawn += len(allowed) > 1
        draft.fill(int(next(token for token in allowed if draft.accepts(np.array([token]))[0])), 0.0)
    assert drawn <= 12  # the edge, which element is first, which of two places it takes
    assert "Fm-3m\n_cell_length_a 9.9999\n_cell_length_b 9.9999\n" in draft.text
    assert Counter(draft.text.split())["90.0000"] == 3


def test_cells_are_chosen_as_often_as_known_crystals_have_them() -> None:
    counts = CellCounts(count_cells([*[((1, 1), 4)] * 60, *[((2, 2), 1)] * 40, ((1, 2, 3), 1)]))
    fitting = [(1, 1), (1, 4), (2, 1)]
    found = Counter(counts.choose((1, 1), fitting, 1.0, (i + 0.5) / 1000) for i in range(1000))
    assert found[1, 4] == pytest.approx(600, abs=20)
    assert found[2, 1] == pytest.approx(400, abs=20)
    cold = Counter(counts.choose((1, 1), fitting, 0.2, (i + 0.5) / 1000) for i in range(1000))
    assert cold[1, 4] > found[1, 4]


def test_an_unknown_kind_of_formula_gets_what_formulas_of_its_size_have() -> None:
    counts = CellCounts(count_cells([((1, 3), 4)] * 10))
    assert counts.choose((2, 2), [(1, 1), (1, 4)], 1.0, 0.5) == (1, 4)


def test_without_counts_all_cells_are_alike() -> None:
    counts = CellCounts({})
    found = Counter(counts.choose((1, 1), [(1, 1), (1, 4)], 1.0, (i + 0.5) / 100) for i in range(100))
    assert found[1, 1] == found[1, 4] == 50


def test_pymatgen_reads_every_crystal() -> None:
    for _, found in made():
        assert found.crystal is not None
        assert to_structure(found.crystal).is_valid(tol=0.5)


def test_a_request_of_no_units_takes_as_many_as_fit() -> None:
    request = replace(REQUESTS[0], space_group=225, units=None, max_atoms=2)
    (found,) = generator().generate([request])
    assert found.crystal is not None and len(found.crystal.species) == 2
