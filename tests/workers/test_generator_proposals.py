"""Formulas that the model proposes: reduced, within bounds, neutral where asked, and a function of their seed alone."""

from dataclasses import asdict, replace
from functools import cache
from math import gcd

import numpy as np
import pytest
import torch

from workers.cards import load_checkpoint
from workers.compositions import INERT, parse_formula
from workers.crystals import space_group
from workers.generator.requests import CrystalRequest
from workers.generator.sampler import DeadEnd, Draw, Sample
from workers.generator.symmetry.generator import CrystalGenerator
from workers.generator.symmetry.network import GeneratorConfig, GeneratorModel
from workers.generator.symmetry.proposal import MOST_ELEMENTS, Proposal
from workers.generator.symmetry.vocabulary import ELEMENTS, Role
from workers.oxidation import can_be_neutral
from workers.symbols import SYMBOLS

SMALL = GeneratorConfig(width=32, layers=1, heads=2, dropout=0.0)


@cache
def shipped() -> CrystalGenerator:
    return CrystalGenerator(*load_checkpoint("crystal-generator"))


@cache
def ignorant() -> CrystalGenerator:
    """Random weights: what holds for them holds for any."""
    torch.manual_seed(0)
    card, arrays = load_checkpoint("crystal-generator")
    features = {name: arrays[name] for name in ("element_features", "site_features")}
    model = GeneratorModel(SMALL, *(torch.from_numpy(array).float() for array in features.values()))
    weights = {name: 5 * p.detach().numpy() for name, p in model.named_parameters()}
    card = replace(card, config=asdict(SMALL), tile=64)
    return CrystalGenerator(card, {**weights, **features, "radii": np.full(ELEMENTS, 0.1)})


def proposed(count: int, most: int, neutral: bool = False) -> list[Sample]:
    samples = [Sample(lambda: Proposal({}, None, most, neutral), Draw(seed, 1.0)) for seed in range(count)]
    ignorant().sampler.run(samples)
    return samples


def spelt(proposal: Proposal, *values: int) -> Proposal:
    for value in values:
        allowed = proposal.allowed()
        assert allowed is not None and allowed[value]
        proposal.fill(value, 0.0)
    return proposal


@pytest.mark.parametrize("most", [1, 2, 20, 64])
def test_masks_alone_make_formulas_of_at_most_so_many_atoms(most: int) -> None:
    found = [sample.draft.formula for sample in proposed(60, most) if sample.flaw is None]  # type: ignore[attr-defined]
    assert len(found) >= 40
    for formula in found:
        numbers, amounts = zip(*formula, strict=True)
        assert list(numbers) == sorted(set(numbers), reverse=True)  # heaviest first, none twice
        assert len(formula) <= MOST_ELEMENTS
        assert sum(amounts) <= most and min(amounts) >= 1 and gcd(*amounts) == 1
        assert not {SYMBOLS[number - 1] for number in numbers} & INERT


def test_a_neutral_proposal_is_neutral() -> None:
    samples = proposed(60, 12, neutral=True)
    done = [sample.draft.formula for sample in samples if sample.flaw is None]  # type: ignore[attr-defined]
    assert done and len(done) < len(samples)
    for formula in done:
        symbols = tuple(SYMBOLS[number - 1] for number, _ in formula)
        assert can_be_neutral(symbols, tuple(amount for _, amount in formula))
    assert all("neutral" in str(s.flaw) or "reduced" in str(s.flaw) for s in samples if s.flaw is not None)


def test_a_formula_is_spelt_element_by_element() -> None:
    proposal = spelt(Proposal({}, None, 20, neutral=True), 38, 1, 22, 1, 8, 3, 0)
    assert proposal.done
    assert proposal.formula == [(38, 1), (22, 1), (8, 3)]


@pytest.mark.parametrize(
    ("values", "neutral", "reason"),
    [((22, 2, 8, 4, 0), False, "not reduced"), ((79, 1, 29, 1, 0), True, "Au Cu"), ((17, 2, 11, 1, 0), True, "Cl Na")],
)
def test_what_must_not_be_proposed_is_a_dead_end(values: tuple[int, ...], neutral: bool, reason: str) -> None:
    with pytest.raises(DeadEnd, match=reason):
        spelt(Proposal({}, None, 20, neutral), *values)


def test_what_may_come_next_shrinks_with_what_is_there() -> None:
    proposal = spelt(Proposal({}, None, 5, neutral=False), 22)
    assert proposal.slot is not None and proposal.slot.role == Role.AMOUNT
    assert np.flatnonzero(proposal.allowed()).tolist() == [1, 2, 3, 4, 5]
    spelt(proposal, 2)
    allowed = np.flatnonzero(proposal.allowed())
    assert allowed.max() == 21 and 0 in allowed and not np.isin([2, 10, 18], allowed).any()
    spelt(proposal, 8, 3)
    assert np.flatnonzero(proposal.allowed()).tolist() == [0]  # five atoms are there
    beginning = Proposal({}, None, 5, neutral=False).allowed()
    assert beginning is not None and not beginning[0]  # an empty formula is none
    full = Proposal({}, None, 64, neutral=False)
    spelt(full, *(value for number in range(50, 50 - MOST_ELEMENTS, -1) for value in (number, 1)))
    assert np.flatnonzero(full.allowed()).tolist() == [0]


def test_the_longest_proposal_has_room() -> None:
    prompt, length = Proposal({}, None, 64, neutral=False).room
    assert prompt + 2 * MOST_ELEMENTS + 1 < length


def test_crystals_without_a_formula_get_one() -> None:
    asked = [CrystalRequest(None, seed, max_atoms=10) for seed in range(24)]
    answers = shipped().generate(asked)
    crystals = [answer.crystal for answer in answers if answer.crystal is not None]
    assert len(crystals) >= 20
    assert all(len(crystal.species) <= 10 for crystal in crystals)
    assert len({crystal.formula for crystal in crystals}) > len(crystals) // 2  # not one formula again and again
    assert all(parse_formula(crystal.formula).formula == crystal.formula for crystal in crystals)
    assert shipped().generate(asked[5:7]) == answers[5:7]


def test_proposed_crystals_are_what_was_asked_for() -> None:
    asked = [CrystalRequest(None, seed, space_group=225, max_atoms=12, charge_balanced=True) for seed in range(16)]
    answers = shipped().generate(asked)
    crystals = [answer.crystal for answer in answers if answer.crystal is not None]
    assert len(crystals) >= 4
    for crystal in crystals:
        composition = parse_formula(crystal.formula)
        assert can_be_neutral(composition.elements, tuple(map(round, composition.amounts)))
        assert space_group(crystal, symprec=1e-3) >= 225
    assert all(answer.flaw and "\n" not in answer.flaw for answer in answers if answer.crystal is None)


def test_units_bound_the_formula() -> None:
    asked = [CrystalRequest(None, seed, units=4, max_atoms=12) for seed in range(12)]
    for answer in ignorant().generate(asked):
        if answer.crystal is not None:
            assert len(answer.crystal.species) in (4, 8, 12)
        else:
            assert answer.flaw is not None and "fit" not in answer.flaw


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (CrystalRequest(None, 1, space_group=10**6), "space group 1000000"),
        (CrystalRequest(None, 1, wanted=(("density", float("nan")),)), "density nan"),
        (CrystalRequest(None, 1, wanted=(("beauty", 1.0),)), "beauty"),
        (CrystalRequest(None, 1, max_atoms=0), "at most 0 atoms"),
        (CrystalRequest(None, 1, units=80, max_atoms=100), "fit into 64 atoms"),
        (CrystalRequest(None, 1, units=21, max_atoms=20), "fit into 20 atoms"),
        (CrystalRequest(None, 1, space_group=230, max_atoms=7), "at least 8 atoms; at most 7"),
    ],
)
def test_what_cannot_be_proposed_is_refused_and_disturbs_nobody(request_: CrystalRequest, reason: str) -> None:
    good = CrystalRequest(None, 2, max_atoms=6)
    refused, other = ignorant().generate([request_, good])
    assert refused.crystal is None and refused.flaw is not None
    assert reason in refused.flaw and "\n" not in refused.flaw
    assert [other] == ignorant().generate([good])
