"""The stages' own work, with models that are small and honest instead of trained."""

from collections.abc import Mapping, Sequence

import pytest

from scheduler.flow import Role
from scheduler.pools import Ask
from scheduler.spec import CampaignSpec, parse_spec
from scheduler.stages import csp, explain, judge, predict
from scheduler.stages.outcome import Order
from storage.candidates import NewCandidate
from storage.chunks import Chunk
from storage.states import ChunkState, StageName
from storage.structures import NewStructure
from workers.crystals import Crystal
from workers.explanations import Explanation, Question
from workers.generator.requests import CrystalRequest, Generated
from workers.models import Refused
from workers.pool import Failure
from workers.probabilities import Distribution
from workers.relaxation import Relaxed

WHERE = "band_gap >= 1.0 AND e_above_hull <= 0.1"


def order(stage: StageName, formulas: Sequence[str] | None = None, **tables: object) -> Order:
    source = {"kind": "enumerate", "cations": ["Cu"], "anions": ["S"]}
    spec: CampaignSpec = parse_spec({"source": source, **tables}, "test")
    chunk = Chunk(
        id=7, campaign_id=1, stage=stage, ordinal=0, start=10, stop=20, formulas=tuple(formulas or ()), size=10,
        state=ChunkState.RUNNING, attempt=1, errors=0, crashes=0, alone=False, worker_id="w", reason=None,
        resend_at=None,
    )  # fmt: skip
    return Order(chunk, spec, seed=3)


def cube(edge: float, *species: str) -> Crystal:
    coords = tuple((i / len(species),) * 3 for i in range(len(species)))
    return Crystal((edge, edge, edge, 90.0, 90.0, 90.0), species, coords)


class Chemists:
    """Answers by rule; the questions are kept."""

    def __init__(self, answers: Mapping[str, object] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[tuple[Role, str, int]] = []
        self.questions: list[Question] = []

    def warm(self, role: Role, own: str | None = None) -> None:
        pass

    def ask(self, question: Ask, items: Sequence[object]) -> list[object]:
        self.asked.append((question.role, question.method, len(items)))
        options = question.options if question.method == "explain" else {}
        return [getattr(self, question.method)(item, **options) for item in items]

    def predict(self, item: object) -> object:
        return self.answers["crystal" if isinstance(item, Crystal) else str(item)]

    def explain(self, formula: str, question: Question) -> object:
        parts = ((("Cu",), 0.2), (("S",), 0.3))
        self.questions.append(question)
        known = (question.property, question.index, question.order)
        return self.answers.get(formula) or Explanation(formula, *known, 1.0, 1.5, parts)

    def generate(self, request: CrystalRequest) -> object:
        """A cube whose edge is the seed's, flawed or the same again as the formula says."""
        if request.formula == "CuS2":
            return Generated(None, -1.0, "two atoms 0.10 Å apart")
        if request.formula == "Cu2S":
            return Failure("its computation ended the model's process 3 times")
        return Generated(cube(5.0 + request.seed % 4 / 10, "Cu", "S"), -2.0, None)

    def merge(self, group: Sequence[Crystal]) -> list[int]:
        edges = [crystal.lattice[0] for crystal in group]
        return [edges.index(edge) for edge in edges]

    def energies(self, crystal: Crystal) -> float:
        return crystal.lattice[0]

    def relax(self, crystal: Crystal) -> Relaxed:
        return Relaxed(cube(4.9, "Cu", "S"), -9.0, 3, True, None)


def values(gap: float, hull: float) -> dict[str, tuple[float, float]]:
    return {"band_gap": (gap, 0.1), "formation_energy_per_atom": (-1.0, 0.1), "e_above_hull": (hull, 0.02)}


PREDICTED = {
    "CuS": values(1.5, 0.05),
    "Cu2S": values(0.5, 0.05),
    "CuS2": values(1.2, 0.01),
    "XeF2": Refused("element Xe is unknown"),
    "CuF": Failure("ValueError: no"),
}


def test_predict_keeps_what_the_filter_keeps_and_accounts_for_the_rest() -> None:
    outcome = predict.compute(
        order(StageName.PREDICT, predict={"where": WHERE, "score": "-e_above_hull - band_gap_std"}),
        list(PREDICTED),
        Chemists(PREDICTED),  # type: ignore[arg-type]
    )
    kept: Sequence[NewCandidate] = outcome.rows["candidates"]  # type: ignore[assignment]
    assert [(row.formula, row.elements) for row in kept] == [("CuS", ("Cu", "S")), ("CuS2", ("Cu", "S"))]
    assert kept[0].score == pytest.approx(-0.15)
    counts = outcome.counts
    assert (counts.input, counts.survived, counts.rejected, counts.invalid, counts.failed) == (5, 2, 1, 1, 1)
    assert [(row.formula, row.kind, row.place) for row in outcome.failures] == [
        ("XeF2", "invalid", "source 13"),
        ("CuF", "failed", "source 14"),
    ]


def test_predict_digest_knows_the_rejected_but_not_the_order() -> None:
    asked = order(StageName.PREDICT, predict={"where": WHERE})

    def digest(answers: Mapping[str, object], formulas: Sequence[str]) -> str:
        return predict.compute(asked, list(formulas), Chemists(answers)).digest  # type: ignore[arg-type]

    first = digest(PREDICTED, ["CuS", "Cu2S", "CuS2"])
    assert digest(PREDICTED, ["CuS2", "CuS", "Cu2S"]) == first
    assert digest(PREDICTED | {"Cu2S": values(0.5, 0.0500001)}, ["CuS", "Cu2S", "CuS2"]) != first


def test_predict_filters_by_elements_and_without_filter_keeps_all() -> None:
    formulas = ["CuS", "CuS2"]
    for where, kept in [
        ('elements HAS "Cu" AND nelements = 2', 2),
        ('elements HAS "S" AND formula = "CuS"', 1),
        (None, 2),
    ]:
        asked = order(StageName.PREDICT, predict={} if where is None else {"where": where})
        outcome = predict.compute(asked, formulas, Chemists(PREDICTED))  # type: ignore[arg-type]
        assert outcome.counts.survived == kept


def test_csp_ranks_merges_and_relaxes_the_best() -> None:
    models = Chemists()
    outcome = csp.compute(order(StageName.CSP, csp={"structures": 8}), ["CuS"], models)  # type: ignore[arg-type]
    rows: Sequence[NewStructure] = outcome.rows["structures"]  # type: ignore[assignment]
    assert [row.rank for row in rows] == list(range(len(rows)))
    assert sum(row.copies for row in rows) == 8 and len(rows) <= 4
    assert rows[0].relaxed and rows[0].energy_per_atom == -9.0
    energies = [row.energy_per_atom for row in rows[1:]]
    assert energies == sorted(energies) and not any(row.relaxed for row in rows[1:])
    assert models.asked == [
        (Role.GENERATOR, "generate", 8), (Role.STRUCTURE, "merge", 1), (Role.STRUCTURE, "energies", len(rows)),
        (Role.STRUCTURE, "relax", 1),
    ]  # fmt: skip


def test_csp_ranks_as_the_spec_says_and_asks_for_what_it_wants() -> None:
    class Weighing(Chemists):
        """The larger the cube, the likelier and the higher its energy."""

        def generate(self, request: CrystalRequest) -> object:
            requests.append(request)
            edge = 5.0 + request.seed % 4 / 10
            return Generated(cube(edge, "Cu", "S"), -10.0, None, 100 * edge)

    requests: list[CrystalRequest] = []
    wanted = {"density": 5.0, "hhi": 2000, "guidance": 2.0, "top_p": 0.9, "space_group": 225, "max_atoms": 12}
    found = {}
    for by in ("energy", "likelihood"):
        tables = {"structures": 8, "rank": by, "relax_steps": 0, **wanted}
        outcome = csp.compute(order(StageName.CSP, csp=tables), ["CuS"], Weighing())  # type: ignore[arg-type]
        found[by] = [row.energy_per_atom for row in outcome.rows["structures"]]  # type: ignore[attr-defined]
    assert found["energy"] == sorted(found["energy"]) and found["likelihood"] == found["energy"][::-1]
    assert {(r.wanted, r.guidance, r.top_p, r.space_group, r.max_atoms) for r in requests} == {
        ((("density", 5.0), ("hhi", 2000.0)), 2.0, 0.9, 225, 12)
    }


def test_csp_keeps_the_most_probable_of_samples_that_are_one_structure() -> None:
    class Drawing(Chemists):
        """One structure, each sample of it in a more probable place than the one before."""

        def generate(self, request: CrystalRequest) -> object:
            self.drawn = getattr(self, "drawn", 0) + 1
            return Generated(cube(5.0, "Cu", "S"), -float(self.drawn), None, float(self.drawn))

    tables = {"structures": 3, "relax_steps": 0}
    outcome = csp.compute(order(StageName.CSP, csp=tables), ["CuS"], Drawing())  # type: ignore[arg-type]
    [row] = outcome.rows["structures"]
    assert (row.sample, row.copies, row.log_likelihood) == (2, 3, -3.0)  # type: ignore[attr-defined]


def test_csp_samples_do_not_depend_on_company() -> None:
    asked = order(StageName.CSP, csp={"structures": 4})
    alone = csp.compute(asked, ["CuS"], Chemists())  # type: ignore[arg-type]
    both = csp.compute(asked, ["CuSe", "CuS"], Chemists())  # type: ignore[arg-type]
    assert [row for row in both.rows["structures"] if row.formula == "CuS"] == list(alone.rows["structures"])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("formula", "kind", "reason"),
    [
        ("Fe0.62C0.38", "invalid", "fractional amounts; a crystal needs whole numbers of atoms"),
        ("Si120C80", "invalid", "atoms; at most 20 are accepted"),
        ("CuS2", "invalid", "no valid structure in 8 samples: two atoms 0.10 Å apart"),
        ("Cu2S", "failed", "ended the model's process"),
    ],
)
def test_csp_refuses_with_a_reason(formula: str, kind: str, reason: str) -> None:
    formulas = [formula, "CuS"] if formula != "Si120C80" else ["Si121C80", "CuS"]
    outcome = csp.compute(order(StageName.CSP, csp={"structures": 8}), formulas, Chemists())  # type: ignore[arg-type]
    [row] = outcome.failures
    assert (row.formula, row.kind) == (formulas[0], kind) and reason in row.reason
    assert outcome.rows["survivors"] == ["CuS"] and outcome.counts.survived == 1


def test_judge_confirms_or_disputes_and_says_why() -> None:
    confirmed = judge.judged(
        "CuS", {"structure_" + name: pair for name, pair in values(1.3, 0.02).items()}, judge.make_demand(WHERE)
    )
    assert (confirmed.verdict, confirmed.reason) == ("confirmed", None)
    disputed = judge.judged(
        "CuS", {"structure_" + name: pair for name, pair in values(0.4, 0.02).items()}, judge.make_demand(WHERE)
    )
    assert disputed.verdict == "disputed"
    assert disputed.reason == "structure_band_gap 0.4, not >= 1.0"


def test_judge_disputes_what_the_structure_model_cannot_say() -> None:
    unknown = judge.judged("CuS", {"structure_density": (4.0, 0.0)}, judge.make_demand(WHERE))
    assert unknown.verdict == "disputed"
    assert judge.judged("CuS", {"structure_density": (4.0, 0.0)}, None).verdict == "confirmed"
    elements = judge.make_demand('elements HAS "Cu" AND nelements < 3')
    assert judge.judged("CuS", {"structure_density": (4.0, 0.0)}, elements).verdict == "confirmed"


def test_judge_counts_every_crystal() -> None:
    answers = {"crystal": {"structure_" + name: pair for name, pair in values(1.3, 0.02).items()}}
    crystals = {"CuS": cube(5.0, "Cu", "S"), "CuS2": cube(5.0, "Cu", "S", "S")}
    outcome = judge.compute(order(StageName.JUDGE, predict={"where": WHERE}), judge.Case(crystals), Chemists(answers))  # type: ignore[arg-type]
    assert (outcome.counts.input, outcome.counts.survived, outcome.rows["survivors"]) == (2, 2, ["CuS", "CuS2"])


def test_explain_keeps_what_was_asked_and_what_failed() -> None:
    asked = order(StageName.EXPLAIN, explain={"property": "e_above_hull", "order": 1})
    answers = {"CuF": Failure("ValueError: no"), "XeF2": Refused("element Xe is unknown")}
    outcome = explain.compute(asked, ["CuS", "CuF", "XeF2"], Chemists(answers))  # type: ignore[arg-type]
    [row] = outcome.rows["explanations"]
    assert (row.formula, row.property, row.order) == ("CuS", "e_above_hull", 1)  # type: ignore[attr-defined]
    assert row.baseline + sum(n for _, n in row.interactions) == pytest.approx(row.value)  # type: ignore[attr-defined]
    assert (outcome.counts.survived, outcome.counts.failed, outcome.counts.invalid) == (1, 1, 1)


def test_explain_asks_what_the_spec_says_of_the_whole_chunk_at_once() -> None:
    tables = {"property": "e_above_hull", "index": "STII", "order": 3, "players": "tokens", "budget": 8192}
    models = Chemists()
    explain.compute(order(StageName.EXPLAIN, explain=tables), ["CuS", "Cu2S"], models)  # type: ignore[arg-type]
    assert models.asked == [(Role.COMPOSITION, "explain", 2)]
    assert set(models.questions) == {Question("e_above_hull", "STII", 3, "tokens", 8192, seed=3)}


class Learned(Chemists):
    """Also answers for a predictor of one's own: the hardness is ten times the band gap."""

    def ask(self, question: Ask, items: Sequence[object]) -> list[object]:
        answers = super().ask(question, items)
        return answers if question.own is None else [self.own(answer) for answer in answers]

    def own(self, answer: object) -> object:
        if not isinstance(answer, dict):
            return answer
        gap = answer["band_gap"][0]
        return Refused("too soft") if gap == 1.2 else {"hardness": (10 * gap, 1.0)}

    def distributions(self) -> dict[str, Distribution]:
        return {}


def test_predict_asks_predictors_of_ones_own_and_filters_by_them() -> None:
    tables = {"predictors": ["hardness"], "where": "hardness > 10", "score": "hardness - band_gap"}
    models = Learned(PREDICTED)
    outcome = predict.compute(order(StageName.PREDICT, predict=tables), list(PREDICTED), models)  # type: ignore[arg-type]
    [row] = outcome.rows["candidates"]
    assert (row.formula, row.predictions["hardness"], row.score) == ("CuS", (15.0, 1.0), 13.5)  # type: ignore[attr-defined]
    counts = outcome.counts  # what one of the predictors refuses is invalid
    assert (counts.survived, counts.rejected, counts.invalid, counts.failed) == (1, 1, 2, 1)
    assert [item.reason for item in outcome.failures][0] == "too soft"


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("P(1.0 <= band_gap <= 1.8) >= 0.3", ["CuS", "CuS2"]),
        ("P(band_gap > 1.4) >= 0.5", ["CuS"]),
        ("P(band_gap > 1.4) < 0.5 AND NOT e_above_hull > 0.02", ["CuS2"]),
    ],
)
def test_predict_filters_by_probability(where: str, kept: list[str]) -> None:
    asked = order(StageName.PREDICT, predict={"where": where})
    outcome = predict.compute(asked, ["CuS", "Cu2S", "CuS2"], Probable(PREDICTED))  # type: ignore[arg-type]
    assert [row.formula for row in outcome.rows["candidates"]] == kept  # type: ignore[attr-defined]


class Probable(Chemists):
    """Its errors are those of a normal distribution."""

    def distributions(self) -> dict[str, Distribution]:
        return {}


def test_judge_asks_for_the_probability_that_the_structure_gives() -> None:
    demand = judge.make_demand("P(1.0 <= band_gap <= 1.8) >= 0.3")
    assert judge.judged("CuS", {"structure_band_gap": (1.3, 0.1)}, demand).verdict == "confirmed"
    disputed = judge.judged("CuS", {"structure_band_gap": (2.5, 0.1)}, demand)
    assert (disputed.verdict, "structure_band_gap" in str(disputed.reason)) == ("disputed", True)


def test_judge_lets_stand_what_predictors_of_ones_own_said_of_the_formula() -> None:
    tables = {"predictors": ["hardness"], "where": "P(hardness > 10) >= 0.5 AND band_gap > 1 AND hardness > 12"}
    answers = {**PREDICTED, "crystal": {"structure_band_gap": (1.3, 0.1)}}
    crystals = {"CuS": cube(5.0, "Cu", "S"), "Cu2S": cube(5.0, "Cu", "Cu", "S")}
    outcome = judge.compute(order(StageName.JUDGE, predict=tables), judge.Case(crystals), Learned(answers))  # type: ignore[arg-type]
    verdicts = {row.formula: row.verdict for row in outcome.rows["judgements"]}  # type: ignore[attr-defined]
    assert verdicts == {"CuS": "confirmed", "Cu2S": "disputed"}
    assert all(set(row.predictions) == {"structure_band_gap"} for row in outcome.rows["judgements"])  # type: ignore[attr-defined]
