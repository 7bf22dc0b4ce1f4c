"""The generator's promises: stoichiometry, symmetry, validity, and answers that depend on nothing but the request."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure
from torch import Tensor

from workers.cards import load_checkpoint
from workers.compositions import parse_formula
from workers.crystals import flaw, shortest_distance, space_group
from workers.errors import CheckpointError
from workers.generator.requests import CrystalRequest, Generated
from workers.generator.sampler import ATTEMPTS, JOINING, TOGETHER, DeadEnd, Draw, Head, Room, Sample, Sampler
from workers.generator.symmetry.clearance import CLOSEST, FLOOR, Clearance
from workers.generator.symmetry.draft import PROMPTS, SPANS, Draft, Plan, site_slice
from workers.generator.symmetry.generator import CrystalGenerator
from workers.generator.symmetry.grammar import condition_rows, formula_of, rows
from workers.generator.symmetry.network import GeneratorConfig, GeneratorModel
from workers.generator.symmetry.orbits import SymmetricCrystal, orbit_points
from workers.generator.symmetry.unfolding import lattice_vectors
from workers.generator.symmetry.vocabulary import GRID, HEADS, SITE_AT, Column, Role
from workers.seeds import derive_seed
from workers.spacegroups import positions

SIZE = 5  # values of a word's letters
LETTERS = np.arange(SIZE)


class Mean:
    """A network whose state is the mean of all it may see, so that its answers can be worked out by hand."""

    shape, padding, sees_prompt_whole = (1, 1, 1), [0], True

    def __init__(self) -> None:
        self.steps = 0

    def prepare(self) -> None: ...

    def embed(self, rows: Tensor, prepared: None) -> tuple[Tensor, None]:
        self.steps += rows.shape[1] == 1
        return rows.float(), None

    def layers(self) -> list["Mean"]:
        return [self]

    def project(self, x: Tensor, turn: None) -> tuple[Tensor, Tensor, Tensor]:
        return torch.zeros_like(x[:, None]), torch.zeros_like(x[:, None]), x[:, None]

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        return attended[:, 0]

    def close(self, x: Tensor) -> Tensor:
        return x

    def scores(self, states: Tensor, prepared: None, head: Head) -> Tensor:
        return states * torch.arange(head[1])

    def offsets(self, states: Tensor, prepared: None, values: Tensor) -> None: ...


@dataclass
class Word:
    """Letters 0 to 4 after a prompt of numbers; some may be forbidden, or an end that is dead."""

    told: list[int]
    length: int
    room: Room = (4, 40)
    forbidden: tuple[int, ...] = ()
    unaccepted: tuple[int, ...] = ()
    near: int | None = None
    dead: bool = False
    letters: list[int] = field(default_factory=list)
    told_ahead: bool = False  # how long it will be

    @property
    def steps(self) -> int | None:
        return self.length if self.told_ahead else None

    @property
    def done(self) -> bool:
        return len(self.letters) == self.length

    def prompt(self, conditioned: bool) -> list[list[int]]:
        return [[number] for number in self.told] if conditioned else []

    def row(self) -> list[int]:
        return [self.letters[-1] if self.letters else 0]

    def head(self) -> Head:
        return 0, SIZE

    def allowed(self) -> np.ndarray | None:
        return ~np.isin(LETTERS, self.forbidden) if self.forbidden else None

    def accepts(self, candidates: np.ndarray) -> np.ndarray:
        return ~np.isin(candidates, self.unaccepted)

    def reach(self) -> int | None:
        return self.near

    def fill(self, value: int, offset: float) -> None:
        self.letters.append(value)
        if self.dead:
            raise DeadEnd("dead on purpose")


def written(words: list[Callable[[], Word]], tile: int = 64, **draw: float) -> list[Sample]:
    values = {"temperature": 1.0, **draw}
    samples = [Sample(word, Draw(seed, **values)) for seed, word in enumerate(words)]
    Sampler(Mean(), tile).run(samples)  # type: ignore[arg-type]
    return samples


def by_hand(told: list[int], letters: list[int], guidance: float = 1.0) -> float:
    """Log-probability of a word: logits are the mean of what is seen, times the letter."""
    total = 0.0
    for i, letter in enumerate(letters):
        seen = [0, *letters[:i]]
        mean = guidance * np.mean(told + seen) + (1 - guidance) * np.mean(seen)
        total += mean * letter - np.log(np.exp(mean * LETTERS).sum())
    return float(total)


def shares(samples: list[Sample]) -> np.ndarray:
    counts = Counter(sample.draft.letters[0] for sample in samples)  # type: ignore[attr-defined]
    return np.array([counts[letter] for letter in LETTERS]) / len(samples)


def word(*told: int, length: int = 1, **others: object) -> Callable[[], Word]:
    return lambda: Word(list(told), length, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("guidance", [1.0, 2.0, 0.0])
def test_a_word_is_as_likely_as_the_network_says(guidance: float, ahead: bool) -> None:
    told = {"told_ahead": ahead}
    asked = [word(*[i % 3 - 1] * (i % 5), length=1 + i % 7, room=(4, 12 + 8 * (i % 2)), **told) for i in range(190)]
    for begin, sample in zip(asked, written(asked, guidance=guidance), strict=True):
        letters = sample.draft.letters  # type: ignore[attr-defined]
        assert sample.done and len(letters) == begin().length
        assert sample.log_likelihood == pytest.approx(by_hand(begin().told, letters, guidance), abs=1e-4)
        assert sample.log_mass == sample.log_likelihood  # letters have no neighbours


def test_draws_follow_the_probabilities_and_the_temperature() -> None:
    for temperature in (1.0, 0.5):
        found = shares(written([word(2)] * 800, temperature=temperature))  # the mean of 2 and the first row's 0 is 1
        wanted = np.exp(LETTERS / temperature)
        np.testing.assert_allclose(found, wanted / wanted.sum(), atol=0.05)


def test_top_p_keeps_the_most_probable_values_alone() -> None:
    probable = np.exp(LETTERS) / np.exp(LETTERS).sum()  # 0.01 0.03 0.09 0.23 0.64
    found = shares(written([word(2)] * 600, top_p=0.8))
    assert found[:3].sum() == 0.0
    np.testing.assert_allclose(found[3:], probable[3:] / probable[3:].sum(), atol=0.05)
    assert shares(written([word(2)] * 50, top_p=1e-9))[-1] == 1.0


def test_guidance_leads_away_from_what_comes_without_conditions() -> None:
    found = shares(written([word(2)] * 800, guidance=2.0))
    np.testing.assert_allclose(found, np.exp(2 * LETTERS) / np.exp(2 * LETTERS).sum(), atol=0.05)


def test_forbidden_and_unaccepted_values_are_not_drawn() -> None:
    samples = written([word(2, forbidden=(4,), unaccepted=(3,))] * 300)
    found = shares(samples)
    assert found[3] == found[4] == 0.0 and (found[:3] > 0).all()
    likely = np.exp(LETTERS[:4])
    assert {round(s.log_likelihood, 4) for s in samples} <= set(np.round(LETTERS - np.log(likely.sum()), 4).tolist())


def test_mass_gathers_the_neighbours() -> None:
    for sample in written([word(2, near=1)] * 30):
        letter = sample.draft.letters[0]  # type: ignore[attr-defined]
        near = np.exp([(letter + step) % SIZE for step in (-1, 0, 1)]).sum()
        assert sample.log_mass == pytest.approx(np.log(near / np.exp(LETTERS).sum()), abs=1e-6)
        assert sample.log_mass > sample.log_likelihood


@pytest.mark.parametrize("ahead", [False, True])
def test_a_word_does_not_depend_on_its_neighbours(ahead: bool) -> None:
    kinds = [{"length": 9}, {"length": 3, "room": (4, 60)}, {"length": 5, "unaccepted": (4,)}]
    asked = [word(i % 3, i % 2, told_ahead=ahead or i % 5 == 0, **kinds[i % 3]) for i in range(170)]
    together = written(asked, guidance=1.5)
    alone = [Sample(asked[i], Draw(i, 1.0, guidance=1.5)) for i in (0, 35, 69)]
    for sample in alone:
        Sampler(Mean(), 32).run([sample])  # type: ignore[arg-type]
        other = together[sample.draw.seed]
        assert sample.draft == other.draft
        assert (sample.log_likelihood, sample.log_mass) == (other.log_likelihood, other.log_mass)


def test_a_sampler_that_was_used_before_writes_the_same() -> None:
    """A tile is kept with what the last run left in it."""
    used = Sampler(Mean(), 32)  # type: ignore[arg-type]
    used.run([Sample(word(2, length=9), Draw(i, 1.0)) for i in range(40)])
    once, again = (Sample(word(1, length=5), Draw(7, 1.0)) for _ in range(2))
    used.run([once])
    Sampler(Mean(), 32).run([again])  # type: ignore[arg-type]
    assert (once.draft, once.log_likelihood) == (again.draft, again.log_likelihood)


def test_others_take_the_rows_of_those_that_are_finished() -> None:
    network = Mean()
    lengths = [30] * JOINING + [3] * JOINING * 6  # the long ones write while the short ones come and go
    samples = [Sample(word(1, length=length), Draw(i, 1.0)) for i, length in enumerate(lengths)]
    Sampler(network, 2 * JOINING).run(samples)  # type: ignore[arg-type]
    assert all(len(sample.draft.letters) == length for sample, length in zip(samples, lengths, strict=True))  # type: ignore[attr-defined]
    assert network.steps == 30
    for sample in samples:
        assert sample.log_likelihood == pytest.approx(by_hand([1], sample.draft.letters), abs=1e-4)  # type: ignore[attr-defined]


def test_those_that_know_their_length_begin_together_the_longest_first() -> None:
    network = Mean()
    lengths = [3, 30] * TOGETHER
    samples = [Sample(word(1, length=n, told_ahead=True), Draw(i, 1.0)) for i, n in enumerate(lengths)]
    Sampler(network, 2 * TOGETHER).run(samples)  # type: ignore[arg-type]
    assert network.steps == 30 + 3
    for sample in samples:
        assert sample.log_likelihood == pytest.approx(by_hand([1], sample.draft.letters), abs=1e-4)  # type: ignore[attr-defined]


def test_what_fails_among_those_that_began_together_is_tried_again_with_the_next() -> None:
    unlucky = iter([True, False])
    begins = [lambda: Word([1], 4, dead=next(unlucky), told_ahead=True)]
    begins += [word(1, length=4, told_ahead=True)] * TOGETHER
    samples = written(begins)
    assert [sample.attempt for sample in samples] == [1] + [0] * TOGETHER
    assert all(sample.flaw is None and len(sample.draft.letters) == 4 for sample in samples)  # type: ignore[attr-defined]
    assert samples[0].log_likelihood == pytest.approx(by_hand([1], samples[0].draft.letters), abs=1e-4)  # type: ignore[attr-defined]


def test_a_dead_end_is_tried_again_a_little_warmer() -> None:
    unlucky = iter([True, True, False])
    samples = written([word(1, length=4), lambda: Word([1], 4, dead=next(unlucky)), word(1, dead=True)])
    assert [sample.attempt for sample in samples] == [0, 2, ATTEMPTS - 1]
    assert [sample.flaw for sample in samples] == [None, None, "dead on purpose"]
    assert samples[0].temperature < samples[1].temperature < samples[2].temperature
    (alone,) = written([word(1, length=4)])
    assert samples[0].draft == alone.draft
    assert samples[1].log_likelihood == pytest.approx(by_hand([1], samples[1].draft.letters), abs=1e-4)  # type: ignore[attr-defined]


@pytest.mark.parametrize("draw", [{"temperature": float("nan")}, {"guidance": float("nan")}, {"top_p": -1.0}])
def test_nonsense_ends_in_a_flaw(draw: dict[str, float]) -> None:
    assert [sample.flaw for sample in written([word(1)], **draw)] == ["no value fits into what is there"]


def test_where_nothing_is_accepted_there_is_a_flaw() -> None:
    samples = written([word(1, unaccepted=tuple(LETTERS)), word(1)])
    assert [sample.flaw for sample in samples] == ["no value fits into what is there", None]


def test_a_tile_too_small_to_join_is_refused() -> None:
    with pytest.raises(ValueError, match="tile=8"):
        Sampler(Mean(), 8)  # type: ignore[arg-type]


# A generator that knows nothing: what holds for it holds for any weights.


@cache
def shipped() -> CrystalGenerator:
    return CrystalGenerator(*load_checkpoint("crystal-generator"))


def ignorant_arrays() -> dict[str, np.ndarray]:
    torch.manual_seed(0)
    features = {name: array for name, array in load_checkpoint("crystal-generator")[1].items() if "_features" in name}
    model = GeneratorModel(SMALL, *(torch.from_numpy(features[name]).float() for name in sorted(features)))
    weights = {name: 5 * p.detach().numpy() for name, p in model.named_parameters()}
    return {**weights, **features, "radii": np.full(119, 0.1, dtype=np.float32)}


SMALL = GeneratorConfig(width=32, layers=2, heads=2, dropout=0.0)


@cache
def ignorant() -> CrystalGenerator:
    card = replace(load_checkpoint("crystal-generator")[0], config=asdict(SMALL), tile=32)
    return CrystalGenerator(card, ignorant_arrays())


def test_masks_alone_keep_the_stoichiometry() -> None:
    """Even a network that knows nothing cannot place a wrong number of atoms or a broken orbit."""
    plans = [
        Plan([(38, 1), (22, 1), (8, 3)], (1, 2, 3, 4)),
        Plan([(29, 4), (8, 2)], (1,)),
        Plan([(50, 1), (30, 1), (29, 2), (16, 4)], (2,), 121),
        Plan([(6, 7)], (1, 2)),
        Plan([(39, 3), (13, 5), (8, 12)], (2,)),  # 40 atoms
        Plan([(12, 1), (8, 1)], (24,)),
    ]
    samples = [Sample(lambda p=p: Draft(p, ignorant().radii), Draw(s, 1.0)) for p in plans for s in range(5)]
    ignorant().sampler.run(samples)
    done = [sample for sample in samples if sample.flaw is None]
    assert len(done) >= 0.8 * len(samples)
    for sample in done:
        draft: Draft = sample.draft  # type: ignore[assignment]
        assert draft.units in draft.plan.units
        assert formula_of(draft.crystal()) == [(number, draft.units * count) for number, count in draft.plan.formula]
        assert draft.plan.space_group in (None, draft.group)
        assert sample.log_mass >= sample.log_likelihood
        assert all(-0.5 <= offset <= 0.5 for row in draft.offsets for offset in row)
        orbits = [(o.number, o.position, o.free) for o in draft.crystal().orbits]
        assert len(set(orbits)) == len(orbits)


def mixed(largest: int, times: int) -> list[CrystalRequest]:
    """All sorts of requests side by side: rooms, guidance, top_p, with and without formula."""
    dense = (("density", 5.0), ("band_gap", 1.0))
    kinds = [
        CrystalRequest("NaCl", 0, max_atoms=4),
        CrystalRequest("Fe2O3", 0, units=2, top_p=0.9),
        CrystalRequest("TiO2", 0, units=2, space_group=136, wanted=dense, guidance=2.0),
        CrystalRequest("SrTiO3", 0, wanted=dense, guidance=1.5, max_atoms=largest),
        CrystalRequest(None, 0, max_atoms=10),
        CrystalRequest(None, 0, max_atoms=8, wanted=dense, guidance=2.0, temperature=1.0),
        CrystalRequest("Fe0.62C0.38", 0),
    ]
    return [replace(kind, seed=derive_seed(3, "csp", "mixed", i)) for i in range(times) for kind in kinds]


@pytest.mark.parametrize(
    ("generator", "asked", "alone"),
    [(ignorant, mixed(40, 6), range(21, 28)), (shipped, mixed(10, 3), (9, 12))],
    ids=["any weights", "shipped"],
)
def test_an_answer_does_not_depend_on_its_neighbours(
    generator: Callable[[], CrystalGenerator], asked: list[CrystalRequest], alone: Sequence[int]
) -> None:
    together = generator().generate(asked)
    order = np.random.default_rng(0).permutation(len(asked))[: len(asked) // 2]
    assert generator().generate([asked[i] for i in order]) == [together[i] for i in order]
    for i in alone:
        assert generator().generate([asked[i]]) == [together[i]]


def test_guidance_of_one_is_none_and_so_is_guidance_towards_nothing() -> None:
    wanted = (("density", 5.0),)
    asked = [CrystalRequest("SrTiO3", seed, wanted=wanted) for seed in range(6)]
    plain = ignorant().generate(asked)
    assert plain == ignorant().generate([replace(request, guidance=1.0) for request in asked])
    assert plain != ignorant().generate([replace(request, guidance=3.0) for request in asked])
    assert plain != ignorant().generate([replace(request, wanted=(("density", 1.0),)) for request in asked])
    free = [replace(request, wanted=()) for request in asked]
    assert ignorant().generate(free) == ignorant().generate([replace(request, guidance=3.0) for request in free])


def test_an_answer_is_in_the_group_that_was_asked_for() -> None:
    for group in (62, 136, 166, 225):
        plan = Plan([(12, 1), (8, 2)], (2, 4, 6), group)
        samples = [Sample(lambda p=plan: Draft(p, ignorant().radii), Draw(seed, 1.0)) for seed in range(4)]
        ignorant().sampler.run(samples)
        assert {s.draft.crystal().group for s in samples if s.flaw is None} == {group}  # type: ignore[attr-defined]


def test_a_group_that_the_atoms_do_not_keep_is_drawn_again() -> None:
    """F432 has places for salts of two atoms, but those of Fm-3m; with eight atoms it has places of its own."""
    small, large = (CrystalRequest("NaCl", 4, units=units, space_group=209) for units in (1, 4))
    found, other = ignorant().generate([small, large])
    assert found.crystal is not None and space_group(found.crystal) == 225
    assert other.crystal is None or len(other.crystal.species) == 8
    assert ignorant().generate([large, small]) == [other, found]


@pytest.mark.parametrize("atoms", [1, 12, 13, 20, 40, 64])
def test_there_is_room_for_any_cell(atoms: int) -> None:
    """As many tokens as a cell without symmetry can ask for, prompt and all, stay within the tile's slots."""
    draft = Draft(Plan([(6, 1)], (atoms,)), np.zeros(119))
    prompt, length = draft.room
    assert prompt in PROMPTS and length - prompt in SPANS
    asked = 2 + atoms + 6 + 3 * atoms
    assert prompt + asked < length


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"radii": None}, "no array 'radii'"),
        ({"blocks.0.qkv.weight": None}, "no array 'blocks.0.qkv.weight'"),
        ({"site_features": None}, "no array 'site_features'"),
        ({"value.weight": np.full((3, 4), np.nan)}, "'value.weight' has numbers that are not finite"),
        ({"bias": np.array([np.inf])}, "'bias' has numbers that are not finite"),
        ({"radii": np.full(119, np.nan)}, "'radii' has numbers that are not finite"),
        ({"radii": np.ones(5)}, "'radii' has 5 rows; 119 are expected"),
        ({"site_features": np.ones((3, 25))}, "'site_features' has 3 rows"),
        ({"value.weight": np.zeros((3, 32))}, r"'value.weight' has shape \(3, 32\)"),
        ({"element_features": np.zeros(119)}, "index out of range"),
    ],
)
def test_a_damaged_checkpoint_is_refused_in_one_line(change: dict[str, np.ndarray | None], reason: str) -> None:
    arrays = {**ignorant_arrays(), **change}
    with pytest.raises(CheckpointError, match=reason) as raised:
        CrystalGenerator(ignorant().card, {name: array for name, array in arrays.items() if array is not None})
    assert "\n" not in str(raised.value) and ignorant().card.name in str(raised.value)


@pytest.mark.parametrize(
    ("card", "device", "reason"),
    [
        ({}, "tpu", "tpu"),
        ({}, "", "empty"),
        ({"tile": 4}, "cpu", "tile=4"),
        ({"tile": 10**9}, "cpu", "tile=1000000000"),
        ({"config": {"width": 32, "layers": 2, "heads": -2}}, "cpu", "-2 heads"),
        ({"config": {"width": 32, "layers": 1, "heads": 2}}, "cpu", "'blocks.1.down.bias' has no place"),
        ({"config": {"width": 32, "depth": 2}}, "cpu", "depth"),
        ({"config": {"width": 32, "layers": 2, "heads": 5}}, "cpu", "5 heads"),
        ({"config": {"width": 64, "layers": 2, "heads": 2}}, "cpu", "shape"),
    ],
)
def test_a_card_or_device_that_does_not_fit_is_refused(card: dict[str, object], device: str, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason) as raised:
        CrystalGenerator(replace(ignorant().card, **card), ignorant_arrays(), device)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(CheckpointError, match="cuda"):
        CrystalGenerator(ignorant().card, ignorant_arrays(), "cuda")


@pytest.mark.parametrize("group", [14, 62, 166, 194, 225])
def test_atoms_keep_their_distance(group: int) -> None:
    """Clearances against all distances between all atoms."""
    rng = np.random.default_rng(group)
    system = (9.0, 9.0, 9.0, 90.0, 90.0, 120.0 if group in (166, 194) else 90.0)
    lattice = Lattice(lattice_vectors(system))
    radii = rng.uniform(0.5, 1.5, 119)
    for _ in range(6):
        first, second = rng.integers(0, len(positions(group)), 2).tolist()
        clearance = Clearance(group, system, radii)
        here = rng.integers(0, GRID, positions(group)[first].free)
        there = rng.integers(0, GRID, (10, positions(group)[second].free))
        clearance.place(8, first, tuple(here.tolist()))
        old = orbit_points(group, first, here) / GRID
        for free, fits in zip(there, clearance.fits(26, second, there), strict=True):
            new = orbit_points(group, second, free) / GRID
            inner = lattice.get_all_distances(new, new)
            np.fill_diagonal(inner, min(lattice.abc))
            outer = lattice.get_all_distances(new, old)
            reach = [max(CLOSEST * (radii[26] + radii[other]), FLOOR) for other in (26, 8)]
            assert fits == bool(inner.min() > reach[0] and outer.min() > reach[1])


# The generator that is shipped.

FORMULAS = ("NaCl", "SrTiO3", "ZnS", "CsPbI3", "Fe2O3", "LiFePO4", "Si", "Cu2ZnSnS4", "K2NaAlF6", "H2O")


def requests() -> list[CrystalRequest]:
    return [
        CrystalRequest(formula, derive_seed(7, "csp", formula, i), temperature=0.8)
        for formula in FORMULAS
        for i in range(5)
    ]


@cache
def answers() -> list[Generated]:
    return shipped().generate(requests())


def test_nearly_all_samples_are_valid() -> None:
    crystals = [answer.crystal for answer in answers() if answer.crystal is not None]
    assert len(crystals) >= 0.95 * len(answers())
    assert all(flaw(crystal) is None for crystal in crystals)
    assert min(shortest_distance(crystal) for crystal in crystals) > 0.55


def test_every_sample_has_its_formula() -> None:
    for request, answer in zip(requests(), answers(), strict=True):
        if answer.crystal is not None:
            assert answer.crystal.formula == parse_formula(str(request.formula)).formula
            assert len(answer.crystal.species) <= 20


def test_a_crystal_with_its_neighbourhood_is_likelier_than_alone() -> None:
    assert all(answer.log_mass >= answer.log_likelihood for answer in answers() if answer.crystal is not None)


def test_known_structures_come_first_when_cold() -> None:
    asked = [CrystalRequest(formula, 1, temperature=0.2) for formula in ("NaCl", "SrTiO3")]
    found = shipped().generate(asked)
    assert [space_group(answer.crystal) for answer in found if answer.crystal] == [225, 221]


def test_seeds_make_the_difference_between_samples() -> None:
    first = shipped().generate([CrystalRequest("LiFePO4", seed) for seed in range(4)])
    assert len({answer.log_likelihood for answer in first}) > 1
    assert first == shipped().generate([CrystalRequest("LiFePO4", seed) for seed in range(4)])


def test_without_choice_seeds_make_no_difference() -> None:
    found = shipped().generate([CrystalRequest("NaCl", seed, top_p=1e-9, temperature=1.5) for seed in range(4)])
    assert len({(answer.crystal, answer.log_likelihood) for answer in found}) == 1


def test_formulas_are_the_same_however_they_are_spelt() -> None:
    one, other = (shipped().generate([CrystalRequest(text, 5)])[0] for text in ("LiFePO4", "O4 P Fe Li"))
    assert one == other


def test_units_and_space_group_can_be_given() -> None:
    asked = [CrystalRequest("TiO2", i, units=2, space_group=136) for i in range(8)]
    found = [answer.crystal for answer in shipped().generate(asked) if answer.crystal is not None]
    assert len(found) >= 6
    assert all(Counter(crystal.species) == {"Ti": 2, "O": 4} for crystal in found)
    # A free coordinate on a special value makes the crystal more symmetric than its group.
    assert all(space_group(crystal, symprec=1e-3) >= 136 for crystal in found)
    assert sum(space_group(crystal, symprec=1e-3) == 136 for crystal in found) >= len(found) // 2


def test_units_follow_the_seed_within_the_largest_cell() -> None:
    asked = [CrystalRequest("ZnS", seed, max_atoms=8, temperature=1.0) for seed in range(24)]
    sizes = {len(answer.crystal.species) for answer in shipped().generate(asked) if answer.crystal}
    assert len(sizes) > 1
    assert sizes <= {2, 4, 6, 8}


def test_cells_of_forty_atoms_are_written() -> None:
    asked = [CrystalRequest("Y3Al5O12", seed, units=2, max_atoms=40) for seed in range(3)]
    found = [answer.crystal for answer in shipped().generate(asked) if answer.crystal is not None]
    assert found
    assert all(Counter(crystal.species) == {"Y": 6, "Al": 10, "O": 24} for crystal in found)


def test_elements_named_by_their_molecules_are_written() -> None:
    answer = shipped().generate([CrystalRequest("O2", 1, units=2)])[0]
    assert answer.crystal is not None and answer.crystal.species == ("O",) * 4


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (CrystalRequest("Fe0.62C0.38", 1), "fractional"),
        (CrystalRequest("Xx2", 1), "Xx"),
        (CrystalRequest("Y3Al5O12Si9", 1), "29 atoms"),
        (CrystalRequest("SrTiO3", 1, max_atoms=4), "at most 4"),
        (CrystalRequest("NaCl96", 1, max_atoms=200), "at most 64"),
        (CrystalRequest("HLiBeBCNOFNa", 1), "9 elements"),
        (CrystalRequest("NaCl", 1, space_group=231), "231"),
        (CrystalRequest("SrTiO3", 1, units=1, space_group=227), "1 formula units of SrTiO3 do not fit into space"),
        (CrystalRequest("SrTiO3", 1, space_group=230, max_atoms=10), "1 to 2 formula units of SrTiO3 do not fit"),
        (CrystalRequest("NaCl", 1, units=11), "11 formula units of NaCl do not fit into 20 atoms"),
        (CrystalRequest("NaCl", 1, units=11, space_group=225), "do not fit into 20 atoms"),
        (CrystalRequest("NaCl", 1, units=33, max_atoms=100), "do not fit into 64 atoms"),
        (CrystalRequest("NaCl2", 1, charge_balanced=True), "no common oxidation states"),
        (CrystalRequest("NaCl", 1, wanted=(("beauty", 1.0),)), "beauty"),
        (CrystalRequest("NaCl", 1, wanted=(("density", 99.0),)), "density 99"),
    ],
)
def test_what_cannot_be_met_is_refused_with_a_reason(request_: CrystalRequest, reason: str) -> None:
    refused, other = ignorant().generate([request_, CrystalRequest("NaCl", 1)])
    assert refused.crystal is None and refused.flaw is not None
    assert reason in refused.flaw and "\n" not in refused.flaw
    assert refused.log_likelihood == refused.log_mass == -np.inf
    assert other == ignorant().generate([CrystalRequest("NaCl", 1)])[0]


def test_no_requests_no_answers() -> None:
    assert ignorant().generate([]) == []


def test_log_likelihood_is_what_the_network_says_of_the_tokens() -> None:
    """One pass over the finished crystal, without cache, brackets the sum: masks can only make a value likelier."""
    source, wanted = shipped(), {"density": 4.2}
    sample = Sample(lambda: Draft(Plan([(22, 1), (8, 2)], (2,), 136, wanted), source.radii), Draw(3, 0.5))
    source.sampler.run([sample])
    assert sample.flaw is None
    crystal: SymmetricCrystal = sample.draft.crystal()  # type: ignore[attr-defined]
    table = torch.tensor(condition_rows(wanted, 136) + rows(crystal).tolist())[None]
    free, masked = 0.0, 0.0
    network: GeneratorModel = source.sampler.network  # type: ignore[assignment]
    with torch.inference_mode():
        states, values = network(table)
        for state, line in zip(states[0], table[0].tolist(), strict=True):
            role, target = Role(line[Column.NEXT_ROLE]), line[Column.TARGET]
            if target < 0:
                continue
            sites = site_slice(136)
            first = sites.start if role == Role.POSITION else 0
            head = (SITE_AT + first, sites.stop - first) if role == Role.POSITION else HEADS[role]
            logs = torch.log_softmax(network.scores(state[None], (values,), head)[0], dim=-1)
            if role in (Role.UNITS, Role.GROUP, Role.POSITION):
                masked += float(logs[target - first])
            else:
                free += float(logs[target])
    assert free + masked - 1e-3 <= sample.log_likelihood <= free + 1e-3
    assert free < 0 and masked < 0


def test_a_structure_can_be_steered_by_its_density() -> None:
    def mean(density: float) -> float:
        wanted = (("density", density),)
        asked = [CrystalRequest("TiO2", i, units=2, wanted=wanted, guidance=2.0) for i in range(10)]
        found = [answer.crystal.density for answer in shipped().generate(asked) if answer.crystal is not None]
        assert len(found) >= 8
        return float(np.mean(found))

    assert mean(1.5) + 0.5 < mean(6.0)


def test_a_crystal_is_what_its_orbits_say() -> None:
    """An answer's symmetry at a tight tolerance: offsets move all atoms of an orbit together."""
    for answer in shipped().generate([CrystalRequest("CaTiO3", seed, units=4, space_group=62) for seed in range(3)]):
        assert answer.crystal is not None
        structure = Structure(
            Lattice.from_parameters(*answer.crystal.lattice), answer.crystal.species, answer.crystal.coords
        )
        assert structure.get_space_group_info(symprec=1e-4)[1] >= 62
