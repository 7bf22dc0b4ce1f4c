"""A source that generates: numbered proposals, each counted, the same however they are cut into chunks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from scheduler.campaigns import create_campaign
from scheduler.dispatcher import formulas_in
from scheduler.errors import InvalidSource, InvalidSpec, NoAnswer
from scheduler.flow import Role
from scheduler.pools import Ask
from scheduler.spec import CampaignSpec, parse_spec
from scheduler.stages import csp, predict
from scheduler.stages.outcome import Order, Outcome
from storage.chunks import Chunk, Cut, NewChunk, add_chunks, read_chunk
from storage.engine import open_database, reading, transaction
from storage.failures import read_failures
from storage.funnels import funnel
from storage.hashes import add_digests, content_hash
from storage.leader import read_leader, take_leadership
from storage.models import campaign_models
from storage.moves import Finished, Ledger, claim_chunk, fail_chunk, finish_chunk, queue_chunk
from storage.queries import Query, query
from storage.states import StageName
from storage.tables import ChunkTable
from workers.generator.requests import CrystalRequest, Generated
from workers.models import Refused
from workers.pool import Failure

FORMULAS = ("CuS", "BaTe", "CsI", "ZnSe", "NaCl")
KNOWN = {"NaCl", "CsI"}
SOURCE = {"kind": "generate", "count": 40, "band_gap": 1.4, "space_group": 225, "guidance": 2, "max_atoms": 8}
WHERE = {"where": "band_gap >= 1.0"}


class Chemists:
    """Propose by the seed: five formulas, of which CuS has too small a gap, and at times none."""

    def __init__(self) -> None:
        self.requests: list[CrystalRequest] = []
        self.asked: list[str] = []

    def warm(self, role: Role, own: str | None = None) -> None:
        pass

    def ask(self, question: Ask, items: Sequence[object]) -> list[object]:
        self.asked.append(question.method)
        return [getattr(self, question.method)(item) for item in items]

    def propose(self, request: CrystalRequest) -> object:
        self.requests.append(request)
        if request.seed % 10 == 9:
            return Refused("the proposed formula is not reduced")
        return FORMULAS[request.seed % 10 % 5]

    def predict(self, formula: str) -> object:
        gap = 0.5 if formula == "CuS" else 1.0 + len(formula) / 10
        return {"band_gap": (gap, 0.1), "formation_energy_per_atom": (-1.0, 0.1), "e_above_hull": (0.05, 0.02)}

    def known(self, formula: str) -> object:
        return formula in KNOWN

    def generate(self, request: CrystalRequest) -> object:
        self.requests.append(request)
        return Generated(None, 0.0, "no")


def spec_with(source: dict[str, object] | None = None, **tables: object) -> CampaignSpec:
    return parse_spec({"source": SOURCE | (source or {}), "predict": WHERE, "seed": 3, **tables}, "test")


def order(spec: CampaignSpec, start: int, stop: int) -> Order:
    chunk = Chunk(**dict.fromkeys(Chunk.__slots__) | {"id": 1, "start": start, "stop": stop,
                  "campaign_id": 1, "stage": StageName.PREDICT})  # type: ignore[arg-type]  # fmt: skip
    return Order(chunk, spec, spec.seed)


def computed(spec: CampaignSpec, start: int, stop: int, models: Chemists | None = None) -> Outcome:
    asked = order(spec, start, stop)
    return predict.compute(asked, [""] * (stop - start), models or Chemists())  # type: ignore[arg-type]


def test_proposals_ask_for_what_the_source_wishes_each_with_a_seed_of_its_own() -> None:
    models = Chemists()
    computed(spec_with(), 0, 40, models)
    assert len({request.seed for request in models.requests}) == 40
    wished = {(r.formula, r.wanted, r.space_group, r.guidance, r.max_atoms) for r in models.requests}
    assert wished == {(None, (("band_gap", 1.4),), 225, 2.0, 8)}


def test_a_proposal_depends_on_its_number_and_the_seed_alone() -> None:
    whole, part, other = Chemists(), Chemists(), Chemists()
    computed(spec_with(), 0, 40, whole)
    computed(spec_with(), 13, 29, part)
    computed(spec_with(seed=4), 0, 40, other)
    assert part.requests == whole.requests[13:29]
    assert not {r.seed for r in other.requests} & {r.seed for r in whole.requests}


def test_every_proposal_is_counted_and_repeats_of_what_is_kept_are_duplicates() -> None:
    outcome, models = computed(spec_with(), 0, 40), Chemists()
    proposed = [models.propose(request) for request in requests_of(40)]
    kept = [one for one in proposed if isinstance(one, str) and one != "CuS"]
    counts = outcome.counts
    assert (counts.input, counts.survived) == (40, len(set(kept))) == (40, 4)
    assert (counts.duplicate, counts.rejected) == (len(kept) - 4, proposed.count("CuS"))
    assert counts.invalid == len(outcome.failures) == 40 - len(kept) - proposed.count("CuS") > 0
    places = {row.place for row in outcome.failures}
    assert len(places) == counts.invalid and all(place.startswith("source ") for place in places)


def requests_of(count: int) -> list[CrystalRequest]:
    models = Chemists()
    computed(spec_with(), 0, count, models)
    return models.requests


def test_the_digest_does_not_know_how_proposals_were_cut() -> None:
    spec = spec_with()
    parts = [computed(spec, start, stop).digest for start, stop in ((0, 7), (7, 8), (8, 40))]
    assert add_digests(parts) == computed(spec, 0, 40).digest


def test_known_compositions_are_rejected_where_novel_ones_are_asked_for() -> None:
    plain, strict = computed(spec_with(), 0, 40), computed(spec_with({"novel": True}), 0, 40)
    formulas = {row.formula for row in strict.rows["candidates"]}  # type: ignore[attr-defined]
    assert formulas == {row.formula for row in plain.rows["candidates"]} - KNOWN  # type: ignore[attr-defined]
    assert strict.counts.rejected > plain.counts.rejected
    assert strict.digest == plain.digest


def test_a_composition_that_cannot_be_compared_is_no_new_one() -> None:
    class Mute(Chemists):
        def known(self, formula: str) -> object:
            return Failure("its computation ended the model's process 3 times")

    with pytest.raises(NoAnswer, match="3 times"):
        computed(spec_with({"novel": True}), 0, 40, Mute())


def test_crystals_are_drawn_as_the_formulas_were_proposed() -> None:
    models = Chemists()
    spec = spec_with({"temperature": 0.9}, csp={"structures": 1, "guidance": 3})
    csp.compute(order(spec, 0, 1), ["NaCl"], models)  # type: ignore[arg-type]
    [request] = models.requests
    assert (request.formula, request.wanted, request.space_group) == ("NaCl", (("band_gap", 1.4),), 225)
    assert (request.temperature, request.guidance) == (0.9, 3.0)
    assert parse_spec(spec.model_dump(mode="json"), "database") == spec


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    sqlite = request.param == "sqlite"
    found = open_database(f"sqlite:///{tmp_path / 'test.db'}" if sqlite else request.getfixturevalue("postgres_url"))
    yield found
    found.dispose()


def recorded(engine: Engine, spec: CampaignSpec, cuts: Sequence[tuple[int, int]]) -> int:
    """A campaign whose proposals are worked on in these pieces, in this order."""
    campaign = create_campaign(engine, spec)
    with transaction(engine) as session:
        epoch = take_leadership(session, "test", read_leader(session)) or 0
        chunks = tuple(NewChunk(*cut) for cut in cuts)
        assert add_chunks(session, epoch, Cut(campaign, StageName.PREDICT, 0, 40, chunks, exhausted=True))
    with reading(engine) as session:
        ids = list(session.scalars(select(ChunkTable.id).where(ChunkTable.campaign_id == campaign)))
    for key in sorted(ids):
        with transaction(engine) as session:
            assert queue_chunk(session, epoch, key, 0, 0) and claim_chunk(session, key, "w", 0)
            asked = Order(read_chunk(session, key), spec, spec.seed)
            loaded = predict.load(session, asked)
        outcome = predict.compute(asked, loaded, Chemists())  # type: ignore[arg-type]
        with transaction(engine) as session:
            finish_chunk(session, Finished(key, 1, outcome.counts, outcome.digest, Ledger(0, 0, 0)), 0)
            predict.record(session, asked, outcome)
    return campaign


def test_the_same_rows_however_the_proposals_were_cut_and_ordered(engine: Engine) -> None:
    spec = spec_with()
    whole = recorded(engine, spec, [(0, 40)])
    pieces = recorded(engine, spec, [(20, 40), (3, 20), (0, 3)])
    with reading(engine) as session:
        assert content_hash(session, whole) == content_hash(session, pieces)
        [stage] = funnel(session, pieces)
        rows = list(query(session, Query(filter=None, campaign_id=pieces, limit=None)))
        failures = read_failures(session, pieces, 99)
    assert sorted(row["formula"] for row in rows) == sorted(set(FORMULAS) - {"CuS"})
    counts = stage.counts
    assert (stage.source_size, counts.input, counts.survived) == (40, 40, 4)
    assert counts.duplicate > 0 and counts.invalid == len(failures) == len({row.place for row in failures})


def test_which_model_proposes_and_compares_is_kept(engine: Engine) -> None:
    campaign = create_campaign(engine, spec_with({"novel": True, "model": "materium"}))
    with reading(engine) as session:
        assert set(campaign_models(session, campaign)) == {Role.PROPOSER, Role.COMPOSITION, Role.STRUCTURE}


def test_a_model_that_needs_a_formula_proposes_none(engine: Engine) -> None:
    with pytest.raises(InvalidSpec, match="'crystallm-generator' is a crystallm-generator; a crystal-generator or"):
        create_campaign(engine, spec_with({"model": "crystallm"}))


def test_a_space_group_without_so_small_a_cell_is_told_at_once(engine: Engine) -> None:
    spec = spec_with({"space_group": 230, "max_atoms": 7})
    with pytest.raises(InvalidSource, match="max_atoms = 7: a cell of space group 230 has at least 8 atoms"):
        create_campaign(engine, spec)


def test_a_proposal_that_no_process_survives_is_recorded_by_its_number(engine: Engine) -> None:
    campaign = create_campaign(engine, spec_with())
    with transaction(engine) as session:
        epoch = take_leadership(session, "test", read_leader(session)) or 0
        assert add_chunks(session, epoch, Cut(campaign, StageName.PREDICT, 0, 1, (NewChunk(0, 1),)))
        [key] = session.scalars(select(ChunkTable.id))
        formulas = formulas_in(session, read_chunk(session, key))
        assert fail_chunk(session, epoch, key, "its process died repeatedly", 0, formulas)
    with reading(engine) as session:
        [failure] = read_failures(session, campaign, 9)
        [stage] = funnel(session, campaign)
    assert (failure.formula, failure.place, failure.kind) == ("", "source 0", "failed")
    assert (stage.counts.input, stage.counts.failed) == (1, 1)
