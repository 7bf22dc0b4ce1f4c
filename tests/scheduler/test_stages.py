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

    def warm(self, role: Role) -> None:
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
    confirmed = judge.judged("CuS", {"structure_" + name: pair for name, pair in values(1.3, 0.02).items()}, WHERE)
    assert (confirmed.verdict, confirmed.reason) == ("confirmed", None)
    disputed = judge.judged("CuS", {"structure_" + name: pair for name, pair in values(0.4, 0.02).items()}, WHERE)
    assert disputed.verdict == "disputed"
    assert disputed.reason == "structure_band_gap 0.4, not >= 1.0"


def test_judge_disputes_what_the_structure_model_cannot_say() -> None:
    unknown = judge.judged("CuS", {"structure_density": (4.0, 0.0)}, WHERE)
    assert unknown.verdict == "disputed"
    assert judge.judged("CuS", {"structure_density": (4.0, 0.0)}, None).verdict == "confirmed"
    assert (
        judge.judged("CuS", {"structure_density": (4.0, 0.0)}, 'elements HAS "Cu" AND nelements < 3').verdict
        == "confirmed"
    )


def test_judge_counts_every_crystal() -> None:
    answers = {"crystal": {"structure_" + name: pair for name, pair in values(1.3, 0.02).items()}}
    crystals = {"CuS": cube(5.0, "Cu", "S"), "CuS2": cube(5.0, "Cu", "S", "S")}
    outcome = judge.compute(order(StageName.JUDGE, predict={"where": WHERE}), crystals, Chemists(answers))  # type: ignore[arg-type]
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
