"""The generator's promises: stoichiometry, symmetry, validity, and answers that depend on nothing but the request."""

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from workers.cards import load_checkpoint
from workers.compositions import parse_formula
from workers.crystals import flaw, shortest_distance, space_group
from workers.errors import CheckpointError
from workers.generator.clearance import Room
from workers.generator.crystal_generator import CrystalGenerator
from workers.generator.draft import Draft, site_slice
from workers.generator.grammar import SITE_AT, Column, Role, rows
from workers.generator.model import HEADS, GeneratorConfig, GeneratorModel
from workers.generator.orbits import Orbit, SymmetricCrystal
from workers.generator.requests import CrystalRequest, Generated
from workers.generator.sampler import Sample, Sampler
from workers.seeds import derive_seed

FORMULAS = ("NaCl", "SrTiO3", "ZnS", "CsPbI3", "Fe2O3", "LiFePO4", "Si", "Cu2ZnSnS4", "K2NaAlF6", "H2O")


@cache
def generator() -> CrystalGenerator:
    torch.set_num_threads(1)
    return CrystalGenerator(*load_checkpoint("crystal-generator"))


def requests(count: int, temperature: float = 0.8) -> list[CrystalRequest]:
    return [
        CrystalRequest(formula, derive_seed(7, "csp", formula, i), temperature=temperature)
        for formula in FORMULAS
        for i in range(count)
    ]


@cache
def answers() -> list[Generated]:
    return generator().generate(requests(8))


def test_nearly_all_samples_are_valid() -> None:
    crystals = [answer.crystal for answer in answers() if answer.crystal is not None]
    assert len(crystals) >= 0.95 * len(answers())
    assert all(flaw(crystal) is None for crystal in crystals)
    assert min(shortest_distance(crystal) for crystal in crystals) > 0.55


def test_every_sample_has_its_formula() -> None:
    for request, answer in zip(requests(8), answers(), strict=True):
        if answer.crystal is not None:
            assert answer.crystal.formula == parse_formula(request.formula).formula
            assert len(answer.crystal.species) <= 20


def test_an_answer_does_not_depend_on_its_neighbours() -> None:
    asked = requests(8)
    alone = generator().generate([asked[3]])
    assert alone == [answers()[3]]
    order = np.random.default_rng(0).permutation(len(asked))
    shuffled = generator().generate([asked[i] for i in order])
    assert shuffled == [answers()[i] for i in order]


def test_seeds_make_the_difference_between_samples() -> None:
    first = generator().generate([CrystalRequest("LiFePO4", seed) for seed in range(8)])
    assert len({answer.log_likelihood for answer in first}) > 1
    assert first == generator().generate([CrystalRequest("LiFePO4", seed) for seed in range(8)])


def test_formulas_are_the_same_however_they_are_spelt() -> None:
    one, other = (generator().generate([CrystalRequest(text, 5)])[0] for text in ("LiFePO4", "O4 P Fe Li"))
    assert one == other


def test_known_structures_come_first_when_cold() -> None:
    asked = [CrystalRequest(formula, 1, temperature=0.2) for formula in ("NaCl", "SrTiO3")]
    found = generator().generate(asked)
    assert [space_group(answer.crystal) for answer in found if answer.crystal] == [225, 221]


def test_units_and_space_group_can_be_given() -> None:
    asked = [CrystalRequest("TiO2", i, units=2, space_group=136) for i in range(8)]
    for answer in generator().generate(asked):
        assert answer.crystal is not None
        assert Counter(answer.crystal.species) == {"Ti": 2, "O": 4}
        assert space_group(answer.crystal, symprec=0.01) == 136 or space_group(answer.crystal) > 136


def test_units_follow_the_seed_within_the_largest_cell() -> None:
    asked = [CrystalRequest("ZnS", seed, max_atoms=8) for seed in range(24)]
    sizes = {len(answer.crystal.species) for answer in generator().generate(asked) if answer.crystal}
    assert len(sizes) > 1
    assert sizes <= {2, 4, 6, 8}


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (CrystalRequest("Fe0.62C0.38", 1), "fractional"),
        (CrystalRequest("Xx2", 1), "Xx"),
        (CrystalRequest("Y3Al5O12Si9", 1), "29 atoms"),
        (CrystalRequest("SrTiO3", 1, max_atoms=4), "at most 4"),
        (CrystalRequest("HLiBeBCNOFNa", 1), "9 elements"),
        (CrystalRequest("NaCl", 1, space_group=231), "231"),
        (CrystalRequest("SrTiO3", 1, units=1, space_group=227), "space group 227"),
        (CrystalRequest("NaCl", 1, units=11), "do not fit into 20 atoms"),
    ],
)
def test_what_cannot_be_met_is_refused_with_a_reason(request_: CrystalRequest, reason: str) -> None:
    both = generator().generate([request_, CrystalRequest("NaCl", 1)])
    assert both[0].crystal is None and both[0].flaw is not None
    assert reason in both[0].flaw
    assert both[1].crystal is not None


def test_no_requests_no_answers() -> None:
    assert generator().generate([]) == []


def test_other_devices_are_refused() -> None:
    card, arrays = load_checkpoint("crystal-generator")
    with pytest.raises(CheckpointError, match="tpu"):
        CrystalGenerator(card, arrays, "tpu")


def test_log_likelihood_is_what_the_network_says_of_the_tokens() -> None:
    """One pass over the finished crystal, without cache, brackets the sum: masks can only make a position likelier."""
    source = generator()
    sample = Sample(lambda: Draft([(38, 1), (22, 1), (8, 3)], source.radii, 221), 3, 0.5)
    source.sampler.run([sample])
    assert sample.flaw is None
    table = torch.from_numpy(rows(sample.draft.crystal()).astype(np.int64))[None]
    with torch.inference_mode():
        states, values = source.sampler.model(table)
        role, target = table[0, :, Column.NEXT_ROLE], table[0, :, Column.TARGET]

        def total(kind: Role, start: int, size: int, first: int = 0) -> float:
            where = torch.nonzero(role == kind)[:, 0]
            logs = torch.log_softmax(source.sampler.model.scores(states[0, where], values, start, size), -1)
            return float(logs.gather(1, target[where, None] - first).sum())

        volume = total(Role.VOLUME, *HEADS[Role.VOLUME])
        sites = site_slice(221)
        placed = total(Role.POSITION, SITE_AT + sites.start, sites.stop - sites.start, sites.start)
    assert volume + placed - 1e-4 <= sample.log_likelihood <= volume + 1e-4


def untrained() -> Sampler:
    torch.manual_seed(0)
    source = generator().sampler.model
    config = GeneratorConfig(width=32, layers=1, heads=2, dropout=0.0)
    return Sampler(GeneratorModel(config, source.element_features, source.site_features), tile=16)


def test_masks_alone_keep_the_stoichiometry() -> None:
    """Even a network that knows nothing cannot place a wrong number of atoms or a broken orbit."""
    radii = np.full(119, 0.1)
    formulas = ([(38, 1), (22, 1), (8, 3)], [(29, 4), (8, 2)], [(50, 1), (30, 1), (29, 2), (16, 4)], [(6, 7)])
    samples = [Sample(lambda f=f: Draft(f, radii, None), seed, 1.0) for f in formulas for seed in range(6)]
    untrained().run(samples)
    done = [sample for sample in samples if sample.flaw is None]
    assert len(done) >= 0.8 * len(samples)
    for sample in done:
        table = rows(sample.draft.crystal())
        prompt = table[table[:, Column.ROLE] == Role.FORMULA]
        assert prompt[:, [Column.ELEMENT, Column.COUNT]].tolist() == [list(pair) for pair in sample.draft.formula]


def test_atoms_keep_their_distance() -> None:
    radii = np.full(119, 1.0)
    room = Room(221, (4.0, 4.0, 4.0, 90.0, 90.0, 90.0), radii)
    none = np.zeros((1, 0), dtype=np.int64)
    assert room.fits(38, 0, none)[0]
    room.place(38, 0, ())
    assert room.fits(22, 1, none)[0]  # body centre, 3.46 Å away
    along = room.fits(8, 4, np.array([[60], [240]]))  # (x, 0, 0)-like lines: 0.25 and 1 Å from a site
    assert not along[0]


def test_crystals_compare_by_value() -> None:
    crystal = SymmetricCrystal(221, (4.0, 4.0, 4.0, 90.0, 90.0, 90.0), (Orbit(38, 0, ()),))
    assert crystal == replace(crystal, group=221)
