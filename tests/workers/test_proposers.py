"""Generators that need no formula: what they propose is what they would write, whoever else asks."""

from functools import cache

import pytest

from workers.compositions import parse_formula
from workers.generator.generators import Proposer
from workers.generator.kinds import KINDS, PROPOSERS
from workers.generator.requests import CrystalRequest
from workers.models import CLASSES, Refused, load_model
from workers.oxidation import can_be_neutral


@cache
def proposer(name: str) -> Proposer:
    model = load_model(name, "cpu")
    assert isinstance(model, Proposer)
    return model


@pytest.mark.parametrize("name", PROPOSERS)
def test_a_proposal_is_the_formula_of_the_crystal_that_its_request_makes(name: str) -> None:
    asked = [CrystalRequest(None, seed, max_atoms=6, wanted=(("band_gap", 2.0),)) for seed in range(8)]
    proposed = proposer(name).propose(asked)
    crystals = [answer.crystal for answer in proposer(name).generate(asked)]  # type: ignore[attr-defined]
    pairs = [(formula, crystal.formula) for formula, crystal in zip(proposed, crystals, strict=True) if crystal]
    assert len(pairs) >= 6 and all(formula == written for formula, written in pairs)
    assert all(parse_formula(str(formula)).formula == formula for formula, _ in pairs)


@pytest.mark.parametrize("name", PROPOSERS)
def test_a_proposal_does_not_depend_on_its_company(name: str) -> None:
    asked = [CrystalRequest(None, seed, space_group=225, max_atoms=4) for seed in range(10)]
    assert proposer(name).propose(asked[4:7]) == proposer(name).propose(asked)[4:7]


def test_neutral_formulas_are_neutral_and_others_have_a_reason() -> None:
    asked = [CrystalRequest(None, seed, max_atoms=5, charge_balanced=True) for seed in range(24)]
    found = proposer("crystal-generator").propose(asked)
    compositions = [parse_formula(one) for one in found if isinstance(one, str)]
    assert compositions
    assert all(can_be_neutral(one.elements, tuple(map(round, one.amounts))) for one in compositions)
    assert all("\n" not in one.reason for one in found if isinstance(one, Refused))


@pytest.mark.parametrize("name", PROPOSERS)
def test_what_cannot_be_asked_for_is_refused(name: str) -> None:
    [wrong, right] = proposer(name).propose(
        [CrystalRequest(None, 1, wanted=(("beauty", 1.0),)), CrystalRequest(None, 3, max_atoms=4)]
    )
    assert isinstance(wrong, Refused) and "beauty" in wrong.reason
    assert isinstance(right, str)


def test_whoever_proposes_is_known_by_its_kind() -> None:
    assert set(PROPOSERS) < set(KINDS) and set(KINDS) <= set(CLASSES)
