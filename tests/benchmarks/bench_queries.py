"""First pages, deep pages and counts of a written set of queries over many candidates, with the plan of each.

python tests/benchmarks/bench_queries.py --rows 10000000 --db postgresql://…/empty --plans
"""

import argparse
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from sqlalchemy import Engine, event, select, text
from sqlalchemy.orm import Session

from storage.campaigns import NewCampaign, create_campaign
from storage.candidates import Judgement, NewCandidate, record_candidates, record_judgements
from storage.counts import count
from storage.engine import open_database, reading, transaction
from storage.loads import indexes_afterwards
from storage.pages import Mark, read_page
from storage.queries import Query, selected, sort_key
from storage.rows import batches
from storage.states import ChunkState, StageName
from storage.structures import NewStructure, record_structures
from storage.tables import CandidateTable, ChunkTable, ElementTable
from workers.filters import parse_filter
from workers.symbols import SYMBOLS

ANIONS = (("O", 50), ("S", 12), ("F", 10), ("Cl", 8), ("Se", 7), ("N", 6), ("Br", 4), ("I", 4), ("Te", 3), ("P", 2))
RARE = ("Tc", "Pm", "Pa")  # one in some thousands
CATIONS = tuple(s for s in SYMBOLS[2:92] if s not in {name for name, _ in ANIONS} | {*RARE, "Ne", "Ar", "Kr", "Xe"})
KNOWN = "CsPbI3"
CAMPAIGNS = (70, 25, 5)  # percent of the rows
BATCH = 20_000
PAGE, REPEATS = 50, 5
WRITTEN = (
    ("all", None, "-score", None),
    ("range", "band_gap >= 1.1 AND band_gap <= 1.8", "-score", None),
    ("narrow range", "band_gap > 1.30 AND band_gap < 1.3001", "-score", None),
    ("range, sorted by it", "band_gap >= 1.1 AND band_gap <= 1.8", "band_gap", None),
    ("two properties", "band_gap > 1 AND e_above_hull < 0.05", "-score", None),
    ("two properties, few", "band_gap > 4 AND e_above_hull < 0.001", "e_above_hull", None),
    ("a standard deviation", "band_gap_std < 0.05", "-score", None),
    ("either", "band_gap < 0.01 OR bulk_modulus > 290", "-score", None),
    ("not", "NOT band_gap > 0.5", "-score", None),
    ("unknown", "structure_band_gap IS UNKNOWN", "-score", None),
    ("known", "structure_band_gap IS KNOWN", "-structure_band_gap", None),
    ("has, common", 'elements HAS "O"', "-score", None),
    ("has, rare", 'elements HAS "Tc"', "-score", None),
    ("has all, common", 'elements HAS ALL "O", "S"', "-score", None),
    ("has all, common and rare", 'elements HAS ALL "O", "Tc"', "-score", None),
    ("has any", 'elements HAS ANY "Cs", "Rb", "K"', "-score", None),
    ("has any, rare", 'elements HAS ANY "Tc", "Pm"', "-score", None),
    ("has only", 'elements HAS ONLY "Li", "Na", "Fe", "O", "S"', "-score", None),
    (
        "has only, many",
        'elements HAS ONLY "Li", "Na", "K", "Mg", "Ca", "Fe", "Ti", "Mn", "O", "S", "F"',
        "-score",
        None,
    ),
    ("has only, most", 'elements HAS ONLY <= "Sr"', "-score", None),
    ("not has only", 'NOT elements HAS ONLY "Li", "Na", "Fe", "O", "S"', "-score", None),
    ("not has, common", 'NOT elements HAS "O"', "-score", None),
    ("not has, rare", 'NOT elements HAS "Tc"', "-score", None),
    ("not has all", 'NOT elements HAS ALL "O", "S"', "-score", None),
    ("elements and a range", 'elements HAS "O" AND elements HAS "Fe" AND band_gap > 2', "-score", None),
    ("number of elements", "nelements = 4", "-score", None),
    ("small campaign", None, "-score", 3),
    ("small campaign, range", "band_gap > 1", "-score", 3),
    ("large campaign, range", "band_gap > 1 AND e_above_hull < 0.1", "-score", 1),
    ("one formula", 'formula = "CsPbI3"', "-score", None),
    ("the same, as OPTIMADE spells it", 'chemical_formula_reduced = "CsI3Pb"', "-score", None),
    ("anonymous formula", 'chemical_formula_anonymous = "A3BC"', "-score", None),
    ("part of a formula", 'formula STARTS WITH "LiFe"', "formula", None),
    ("sites of the crystal", "nsites <= 4", "-score", None),
    ("with a crystal, by id", "lattice_vectors IS KNOWN", "id", None),
)


@dataclass(frozen=True)
class Timed:
    """Milliseconds of the quickest of a few tries, and the plan where the statements were looked at."""

    name: str
    first: float
    deep: float
    counting: float
    number: str
    plan: Sequence[str]


@dataclass(frozen=True)
class Made:
    """A candidate of one of the campaigns; judged are those that have a crystal too."""

    campaign: int
    row: NewCandidate
    judged: float | None


def candidates(count: int, seed: int = 0) -> Iterator[Made]:
    """So many candidates, no formula twice."""
    draw = random.Random(seed)
    names, weights = zip(*ANIONS, strict=True)
    shares = [campaign + 1 for campaign, share in enumerate(CAMPAIGNS) for _ in range(share)]
    seen = {hash(KNOWN)}
    yield _made(draw, 1, KNOWN, ("Cs", "Pb", "I"))
    while len(seen) < count:
        metals = draw.sample(CATIONS if draw.random() > 0.0005 else (*RARE, "Fe", "Ti"), draw.choice((1, 2, 2, 3)))
        anion = sorted(set(draw.choices(names, weights, k=draw.choice((1, 1, 2)))))
        amounts = [draw.randint(1, 9) for _ in (*metals, *anion)]
        formula = "".join(f"{s}{n}" if n > 1 else s for s, n in zip((*metals, *anion), amounts, strict=True))
        if (mark := hash(formula)) not in seen:
            seen.add(mark)
            yield _made(draw, draw.choice(shares), formula, (*metals, *anion))


def _made(draw: random.Random, campaign: int, formula: str, elements: tuple[str, ...]) -> Made:
    hull, gap = draw.expovariate(8.0), max(0.0, draw.gauss(0.8, 1.2))
    predictions = {
        "band_gap": (gap, draw.uniform(0.02, 0.6)),
        "e_above_hull": (hull, draw.uniform(0.01, 0.2)),
        "formation_energy_per_atom": (draw.gauss(-1.5, 0.8), 0.1),
    }
    if draw.random() < 0.5:
        predictions["bulk_modulus"] = (draw.uniform(5, 300), 20.0)
    judged = gap + draw.gauss(0, 0.2) if draw.random() < 0.01 else None
    return Made(campaign, NewCandidate(formula, elements, -hull, predictions), judged)


def fill(engine: Engine, rows: int) -> None:
    """Campaigns and their candidates, one in a hundred with a crystal; the indexes are built when all are there."""
    with transaction(engine) as session:
        for share in CAMPAIGNS:
            create_campaign(session, NewCampaign(f"{share} %", {}, 1, "0", tuple(StageName)), now=1.0)
    with indexes_afterwards(engine, CandidateTable, ElementTable):
        for batch in batches(candidates(rows), BATCH):
            with transaction(engine) as session:
                for campaign in range(1, len(CAMPAIGNS) + 1):
                    _record(session, campaign, [made for made in batch if made.campaign == campaign])
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))


def _record(session: Session, campaign: int, mine: Sequence[Made]) -> None:
    """As a predict, a csp and a judge task record."""
    count = len(mine)
    chunk = ChunkTable(
        campaign_id=campaign, stage=StageName.PREDICT, ordinal=0, start=0, stop=count, size=count, input=count,
        survived=count, state=ChunkState.DONE, digest="0" * 16,
    )  # fmt: skip
    session.add(chunk)
    session.flush()
    assert len(record_candidates(session, campaign, chunk.id, [made.row for made in mine])) == count
    judged = [(made.row.formula, made.judged) for made in mine if made.judged is not None]
    found = [NewStructure(formula, 0, 0, {}, None, place % 30 + 1) for place, (formula, _) in enumerate(judged)]
    record_structures(session, campaign, found)
    said = [Judgement(formula, None, None, {"structure_band_gap": (gap, 0.1)}) for formula, gap in judged]
    record_judgements(session, campaign, said)


def measure(engine: Engine, plans: bool) -> Iterator[Timed]:
    """Each query of the set, timed."""
    with reading(engine) as session:
        for name, written, sort, campaign in WRITTEN:
            tree = parse_filter(written) if written else None
            asked = Query(tree, campaign, sort)
            first, plan = _page(session, asked, None, plans)
            deep, _ = _page(session, asked, _deep(session, asked), plans=False)
            counting, found = _timed(lambda asked=asked: count(session, asked))
            number = f"{'' if found.exact else '~'}{found.number:,}"
            yield Timed(name, first, deep, counting, number, plan)


def _page(session: Session, asked: Query, after: Mark | None, plans: bool) -> tuple[float, list[str]]:
    plan: list[str] = []
    if plans:
        statements: list[tuple[str, Any]] = []

        def listen(_: Any, __: Any, statement: str, parameters: Any, *rest: Any) -> None:
            statements.append((statement, parameters))

        engine = session.get_bind().engine
        event.listen(engine, "before_cursor_execute", listen)
        read_page(session, asked, PAGE, after)
        event.remove(engine, "before_cursor_execute", listen)
        plan = [line for statement in statements for line in _plan(session, *statement)]
    return _timed(lambda: read_page(session, asked, PAGE, after))[0], plan


def _plan(session: Session, statement: str, parameters: Any) -> list[str]:
    if " FROM candidate " not in statement.replace("\n", " "):
        return []
    prefix = "EXPLAIN " if session.get_bind().dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
    rows = session.connection().exec_driver_sql(prefix + statement, parameters).all()
    return [str(row[-1]) for row in rows]


def _deep(session: Session, asked: Query) -> Mark | None:
    """The mark of a row in the middle of what the query selects, up to the hundred-thousandth."""
    key, descending = sort_key(asked.sort, ())
    base = selected(asked, ()).where(key.is_not(None)).add_columns(key.label("_key"))
    half = min(100_000, count(session, asked).number // 2)
    row = session.execute(base.order_by(key.desc() if descending else key.asc()).offset(half).limit(1)).first()
    return None if row is None else Mark(row._mapping["_key"], row.formula, row.campaign_id)


def _timed(call: Any) -> tuple[float, Any]:
    took = []
    for _ in range(REPEATS):
        start = perf_counter()
        found = call()
        took.append(1_000 * (perf_counter() - start))
    return min(took), found


def report(engine: Engine, plans: bool) -> None:
    """Print the table."""
    print(f"{'query':34} {'first/ms':>9} {'deep/ms':>9} {'count/ms':>9} {'number':>12}")
    for row in measure(engine, plans):
        print(f"{row.name:34} {row.first:9.1f} {row.deep:9.1f} {row.counting:9.1f} {row.number:>12}", flush=True)
        for line in row.plan:
            print(f"    {line}")


def test_queries_over_twenty_thousand_candidates(tmp_path: Path) -> None:
    engine = open_database(str(tmp_path / "queries.db"))
    fill(engine, 20_000)
    print()
    report(engine, plans=False)
    engine.dispose()


def main() -> None:
    """Fill an empty database, or take one that is filled, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--db", help="default: a new SQLite file")
    parser.add_argument("--plans", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(asked.db or str(Path(folder) / "queries.db"))
        with reading(engine) as session:
            empty = session.scalar(select(CandidateTable.id).limit(1)) is None
        if empty:
            start = perf_counter()
            fill(engine, asked.rows)
            print(f"{engine.dialect.name}: {asked.rows:,} rows in {perf_counter() - start:,.1f} s")
        report(engine, asked.plans)
        engine.dispose()


if __name__ == "__main__":
    main()
