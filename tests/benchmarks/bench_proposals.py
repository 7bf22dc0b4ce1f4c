"""New stable compounds for each crystal drawn: propose, judge and keep, beside plain sampling."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scheduler.campaigns import create_campaign
from scheduler.runs import run_campaign
from scheduler.settings import load_settings
from scheduler.spec import load_spec, parse_spec
from scheduler.stages.judge import CONFIRMED, judged, make_demand
from storage.engine import open_database, reading
from storage.funnels import funnel
from storage.queries import Query, query
from storage.states import StageName
from workers.generator.evaluation.relaxed import HULL
from workers.generator.generators import judge

SPEC = Path(__file__).parents[2] / "deploy" / "campaigns" / "new-compounds.toml"
PLAIN, BEST, PROPOSALS = 120, 60, 10_000  # crystals drawn plainly and of the best formulas, out of so many proposals
STABLE = "e_above_hull <= 0.1"
WHERES = (STABLE, f"band_gap >= 0.5 AND {STABLE}")


def campaign(folder: Path, tables: dict[str, Any]) -> tuple[int, list[Mapping[str, Any]]]:
    """Run a campaign: how many crystals it drew, and the rows of those that were judged."""
    settings = load_settings({"SLUICE_DATABASE_URL": f"sqlite:///{folder / 'bench.db'}"})
    engine = open_database(settings.database_url)
    number = create_campaign(engine, parse_spec(tables, "bench"))
    run_campaign(settings, engine, number, lambda report: None)
    with reading(engine) as session:
        drawn = next(report.counts.input for report in funnel(session, number) if report.name == StageName.CSP)
        rows = list(query(session, Query(filter=None, campaign_id=number, limit=None)))
    engine.dispose()
    return drawn, [row for row in rows if row[HULL] is not None]


def hits(rows: list[Mapping[str, Any]], where: str) -> int:
    """Those of no known composition whose structures have what the filter asks for."""
    known = judge("cpu").known([row["formula"] for row in rows])
    return sum(_holds(row, where) for row, old in zip(rows, known, strict=True) if not old)


def _holds(row: Mapping[str, Any], where: str) -> bool:
    predicted = {name: (row[name], row[f"{name}_std"]) for name in (HULL, "structure_band_gap")}
    return judged(row["formula"], predicted, make_demand(where)).verdict == CONFIRMED


@pytest.fixture(scope="module")
def tables() -> dict[str, Any]:
    return load_spec(SPEC).model_dump(exclude_unset=True)


@pytest.fixture(scope="module")
def plain(tables: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[int, list[Mapping[str, Any]]]:
    """What the generator proposes, drawn as it comes."""
    temperature = tables["source"]["temperature"]
    source = {"kind": "generate", "count": PLAIN, "temperature": temperature}
    csp = {"structures": 1, "relax_steps": tables["csp"]["relax_steps"]}
    return campaign(tmp_path_factory.mktemp("plain"), {"seed": 5, "source": source, "csp": csp})


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("where", WHERES)
def test_new_stable_compounds_for_each_crystal(
    where: str, tables: dict[str, Any], plain: tuple[int, list[Mapping[str, Any]]], tmp_path: Path
) -> None:
    source, csp = {**tables["source"], "count": PROPOSALS}, {**tables["csp"], "top": BEST}
    predict = {**tables["predict"], "where": where}
    best = campaign(tmp_path, {"seed": 8, "source": source, "predict": predict, "csp": csp})
    shares = []
    for name, (drawn, rows) in (("plain", plain), (f"best of {PROPOSALS}", best)):
        found = hits(rows, where)
        shares.append(found / drawn)
        print(f"\n{where}, {name}: {found} new ones among {drawn} crystals, {shares[-1]:.2f} a crystal", end="")
    print(f"\n{where}: {shares[1] / max(shares[0], 1 / plain[0]):.1f} × plain sampling")
    assert shares[1] > shares[0]
