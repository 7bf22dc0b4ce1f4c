"""Random and hostile filters against a small database: no answer but rows or InvalidFilter, the same as among arrays.

python tests/benchmarks/fuzz_filters.py 100000 --seed 1
"""

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.campaigns import NewCampaign, create_campaign
from storage.engine import open_database, reading, transaction
from storage.filters import to_clause
from storage.states import StageName
from storage.structures import NewStructure, record_structures
from storage.tables import CandidateTable, ElementTable
from workers.errors import InvalidFilter
from workers.filters import evaluate, parse_filter
from workers.spellings import spellings

FORMULAS = {"CsPbI3": ("Cs", "Pb", "I"), "CO2": ("C", "O"), "CoO": ("Co", "O"), "CsI": ("Cs", "I"), "Pb": ("Pb",)}
GAPS = (0.0, 1.5, None, -2.0, 1e300)
NAMES = (
    "band_gap", "_sluice_band_gap", "score", "nelements", "formula", "chemical_formula_reduced",
    "chemical_formula_anonymous", "chemical_formula_hill", "chemical_formula_descriptive", "id", "type", "verdict",
    "elements", "elements_ratios", "nsites", "nperiodic_dimensions", "dimension_types", "lattice_vectors", "species",
    "species_at_sites", "structure_features", "last_modified", "space_group_it_number", "immutable_id", "hardness",
    "hardness_std", "_other_thing", "_sluice_nothing", "nonsense", "a.b", "_other_a.b", "campaign",
)  # fmt: skip
OPS = ("<", "<=", ">", ">=", "=", "!=")
NUMERIC = ("band_gap", "score", "nelements", "nsites", "nperiodic_dimensions", "space_group", "hardness", "campaign")
TEXTUAL = ("formula", "chemical_formula_reduced", "chemical_formula_anonymous", "id", "verdict")
LISTED = ("elements", "elements_ratios", "species", "species_at_sites", "dimension_types", "structure_features")
NUMBERS_ASKED = ("0", "-0.0", "1", "1.5", "2", "3", "-1e300", "1e999", "9" * 400, "1e-999", str(2**63))
FUZZY = ("CONTAINS", "STARTS WITH", "STARTS", "ENDS WITH", "ENDS")
MODES = ("ALL", "ANY", "ONLY")
_QUOTED = tuple(f'"{symbol}"' for symbol in ("Cs", "Pb", "I", "C", "Co", "O"))
HOSTILE = (
    "'; DROP TABLE candidate; --", '" OR 1=1 --', "%s %(x)s :name ?", "%", "_", "\\", "\x00", "\ud800", "\u202e", "é",
    "🜁" * 40, "\n\r\t", "Cs\0", "NULL", "TRUE", "x" * 3_000, "${jndi:ldap://x}", "../../etc/passwd", "1e400", "''", "`",
    "2026-11-21T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9" * 400, "Cs" * 150, "(((",
    "A2B",
)  # fmt: skip
TOKENS = (
    *NAMES, *OPS, "AND", "OR", "NOT", "(", ")", "HAS", "ALL", "ANY", "ONLY", "LENGTH", "IS", "KNOWN", "UNKNOWN", ",",
    ":", "CONTAINS", "STARTS", "WITH", "ENDS", "1", "-0", "1e999", '"Cs"', '"', "TRUE", ".", ";", "--", "/*", "\0",
)  # fmt: skip


@dataclass
class Pond:
    """A database of five candidates, and the same as arrays."""

    session: Session
    columns: dict[str, np.ndarray]
    elements: list[frozenset[str]]
    outcomes: Counter[str] = field(default_factory=Counter)

    def check(self, text: str) -> None:
        """Ask one filter; raises AssertionError where the two answers differ, and whatever is not InvalidFilter."""
        try:
            clause = to_clause(tree := parse_filter(text), ("hardness",))
        except InvalidFilter as exc:
            line = str(exc)
            assert len(line.splitlines()) == 1 and len(line) < 4_000, line[:300]
            self.outcomes["refused"] += 1
            return
        rows = set(self.session.scalars(select(CandidateTable.formula).where(clause)))
        chosen = evaluate(tree, self.columns, self.elements)
        expected = {formula for formula, kept in zip(FORMULAS, chosen, strict=True) if kept}
        assert rows == expected, f"{text[:300]!r}: {sorted(rows)} from the database, {sorted(expected)} from the arrays"
        self.outcomes["answered"] += 1

    def whole(self) -> bool:
        """Whether every row still stands."""
        return self.session.scalar(select(func.count()).select_from(CandidateTable)) == len(FORMULAS)


def fill(session: Session) -> int:
    """Five candidates of a campaign, three of them with crystals; the campaign's id."""
    campaign = create_campaign(session, NewCampaign("fuzz", {}, 1, "0", tuple(StageName)), now=1.0)
    for (formula, elements), gap in zip(FORMULAS.items(), GAPS, strict=True):
        reduced, anonymous = spellings(formula)
        row = CandidateTable(
            campaign_id=campaign, formula=formula, nelements=len(elements), survived=1, surplus=False, band_gap=gap,
            chemical_formula_reduced=reduced, chemical_formula_anonymous=anonymous, score=gap,
            chemical_system="-".join(sorted(elements)),
        )  # fmt: skip
        session.add(row)
        session.flush()
        session.add_all(ElementTable(candidate_id=row.id, element=element) for element in elements)
    session.flush()
    record_structures(session, campaign, [NewStructure(name, 0, 0, {}, 2, 2) for name in list(FORMULAS)[:3]])
    return campaign


def arrays(session: Session, campaign: int) -> dict[str, np.ndarray]:
    """What a filter may ask of the same candidates."""
    ids = dict(session.execute(select(CandidateTable.formula, CandidateTable.id)).all())
    gaps = np.array([np.nan if gap is None else gap for gap in GAPS])
    crystals = np.array([2.0, 2.0, 2.0, np.nan, np.nan])
    nothing = np.full(len(FORMULAS), np.nan)
    return {
        "formula": np.array(list(FORMULAS)),
        "id": np.array([str(ids[formula]) for formula in FORMULAS]),
        "verdict": np.array([""] * len(FORMULAS)),
        "campaign": np.full(len(FORMULAS), float(campaign)),
        "nelements": np.array([float(len(elements)) for elements in FORMULAS.values()]),
        **dict.fromkeys(("band_gap", "score"), gaps),
        **dict.fromkeys(("nsites", "space_group"), crystals),
        **dict.fromkeys(("last_modified", "hardness", "hardness_std"), nothing),
    }


def pond(session: Session) -> Pond:
    """The pond of a session in which it was filled."""
    campaign = session.scalars(select(CandidateTable.campaign_id).limit(1)).one()
    return Pond(session, arrays(session, campaign), [frozenset(elements) for elements in FORMULAS.values()])


def filters(draw: random.Random) -> Iterator[str]:
    """Filters without end: well-formed ones, noise, mutants of both, and the deep, the long and the wide."""
    kinds: tuple[Callable[[random.Random], str], ...] = (_expression, _noise, _mutant, _extreme)
    while True:
        yield draw.choices(kinds, weights=(60, 20, 19, 1))[0](draw)


def _expression(draw: random.Random, depth: int = 0) -> str:
    if depth > 4 or draw.random() < 0.5:
        return _comparison(draw)
    parts = [_expression(draw, depth + 1) for _ in range(draw.randint(1, 3))]
    joined = draw.choice((" AND ", " OR ")).join(parts)
    return draw.choice(("({})", "NOT ({})", "{}")).format(joined.replace("{", "").replace("}", ""))


def _comparison(draw: random.Random) -> str:
    return _sound(draw) if draw.random() < 0.9 else _unsound(draw)


def _sound(draw: random.Random) -> str:
    """A comparison that has an answer, but for the odd text."""
    op, number = draw.choice(OPS), draw.choice(NUMBERS_ASKED)
    return draw.choice((
        lambda: f"{draw.choice(NUMERIC)} {op} {number}",
        lambda: f"{number} {op} {draw.choice(NUMERIC)}",
        lambda: f"{draw.choice(NUMERIC)} {op} {draw.choice(NUMERIC)}",
        lambda: f"{draw.choice(TEXTUAL)} {draw.choice((*OPS, *FUZZY))} {_string(draw)}",
        lambda: f"{draw.choice(TEXTUAL)} {op} {draw.choice(TEXTUAL)}",
        lambda: f"{draw.choice(NAMES[:-6])} IS {draw.choice(('KNOWN', 'UNKNOWN'))}",
        lambda: f"elements HAS {draw.choice(MODES)} {_element(draw)}, {_element(draw)}",
        lambda: f"species_at_sites HAS {_element(draw)}",
        lambda: f"dimension_types HAS {draw.choice(MODES)} {draw.choice(OPS)} 1, {draw.randint(0, 2)}",
        lambda: f"{draw.choice(LISTED)} LENGTH {draw.choice(('', op))} {draw.randint(-1, 4)}",
        lambda: f"_other_{draw.choice(NAMES[:1])} {op} {_value(draw)}",
        lambda: f'last_modified {op} "2026-11-21T19:55:00Z"',
    ))()  # fmt: skip


def _element(draw: random.Random) -> str:
    return f"{draw.choice(('', '', *OPS))} {draw.choice(_QUOTED)}"


def _unsound(draw: random.Random) -> str:
    name, op = draw.choice(NAMES), draw.choice(OPS)
    shape = draw.choice((
        "{n} {o} {v}", "{v} {o} {n}", "{n} {o} {m}", "{n} IS {k}", "{n} {f} {s}", "{n} HAS {v}", "{n} HAS {o} {v}",
        "{n} HAS {a} {v}, {o} {w}", "{n} LENGTH {o} {i}", "{n} LENGTH {i}", "{n}:{m} HAS {v}:{o} {w}",
        "elements HAS {a} {e}, {e}", 'elements HAS {o} "Cs"', "{v} {o} {w}", "{n} {o} TRUE",
    ))  # fmt: skip
    return shape.format(
        n=name, m=draw.choice(NAMES), o=op, v=_value(draw), w=_value(draw), s=_string(draw), i=draw.randint(-2, 5),
        k=draw.choice(("KNOWN", "UNKNOWN")), f=draw.choice(FUZZY), a=draw.choice(MODES),
        e=draw.choice(('"Cs"', '"I"', '"O"', '"Pb"', '"Xx"', '>"C"')),
    )  # fmt: skip


def _value(draw: random.Random) -> str:
    return draw.choice((*NUMBERS_ASKED[:6], draw.choice(NUMBERS_ASKED), *(_string(draw) for _ in range(3))))


def _string(draw: random.Random) -> str:
    inner = draw.choice((*FORMULAS, "C", "structures", "1", "2", *HOSTILE))
    escaped = inner.replace("\\", "\\\\").replace('"', '\\"') if draw.random() < 0.9 else inner
    return f'"{escaped}"'.replace("{", "").replace("}", "")


def _noise(draw: random.Random) -> str:
    pool = draw.choice((TOKENS, (*TOKENS, *HOSTILE), [chr(draw.randrange(0x110000)) for _ in range(20)]))
    return draw.choice((" ", "", "\t")).join(draw.choices(pool, k=draw.randint(0, 30)))


def _mutant(draw: random.Random) -> str:
    text = _expression(draw)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(text) + 1)
        text = text[:at] + draw.choice((*TOKENS, *HOSTILE, "")) + text[at + draw.randint(0, 6) :]
    return text


def _extreme(draw: random.Random) -> str:
    size = draw.choice((5, 12, 13, 100, 499, 500, 501, 5_000, 100_000))
    one = draw.choice(
        ("band_gap > 1", 'formula = "CsI"', 'elements HAS "Cs"', 'NOT elements HAS "O"', "nsites IS KNOWN")
    )
    return draw.choice((
        lambda: "(" * size + one + ")" * size,
        lambda: "NOT (" * size + one + ")" * size,
        lambda: "(" * size,
        lambda: f"band_gap > 0 AND ({one} OR " * min(size, 14) + one + ")" * min(size, 14),
        lambda: draw.choice((" AND ", " OR ")).join([one] * size),
        lambda: "elements HAS ANY " + ", ".join(['"Cs"'] * size),
        lambda: 'formula = "' + draw.choice(("\t", "x", "\\", '\\"', "(", "🜁")) * size * 10 + draw.choice(('"', "")),
        lambda: "band_gap > " + "1" * size,
        lambda: " " * size + one,
    ))()  # fmt: skip


def main() -> None:
    """Ask so many filters, and print what came of them and the slowest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--db", help="default: a new SQLite file")
    asked = parser.parse_args()
    slowest: list[tuple[float, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(asked.db or str(Path(folder) / "fuzz.db"))
        with transaction(engine) as session:
            fill(session)
        with reading(engine) as session:
            mine = pond(session)
            for done, text in zip(range(asked.count), filters(random.Random(asked.seed)), strict=False):
                if done and done % 5_000 == 0:
                    print(f"{done:,}: {dict(mine.outcomes)}", flush=True)
                start = time.perf_counter()
                mine.check(text)
                slowest = sorted([*slowest, (time.perf_counter() - start, text[:80])], reverse=True)[:5]
            assert mine.whole(), "rows are gone"
        engine.dispose()
    print(dict(mine.outcomes))
    for seconds, text in slowest:
        print(f"{seconds:.3f} s  {text!r}")


if __name__ == "__main__":
    main()
