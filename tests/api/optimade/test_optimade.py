"""The OPTIMADE endpoint on a real server, asked by the field's own clients."""

import json
import random
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from runpy import run_path
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3
import uvicorn
from fastapi import FastAPI
from optimade.validator import ImplementationValidator
from pymatgen.core import Structure
from pymatgen.ext.optimade import OptimadeRester
from sqlalchemy import Engine

from api.optimade import routes
from api.service import Access, make_service
from storage import deadlines, entries
from storage.campaigns import NewCampaign, create_campaign, move_campaign
from storage.candidates import NewCandidate, record_candidates
from storage.chunks import Cut, NewChunk, add_chunks
from storage.engine import open_database, transaction
from storage.leader import read_leader, take_leadership
from storage.snapshots import snapshot
from storage.states import CampaignState, StageName
from storage.structures import NewStructure, record_structures
from workers.compositions import parse_formula
from workers.crystals import Crystal

POOL = urllib3.PoolManager(retries=False)
FUZZ = run_path(str(Path(__file__).parents[2] / "benchmarks" / "fuzz_filters.py"))
SALTS = [metal + halogen for metal in ("Li", "Na", "K", "Rb", "Cs") for halogen in ("F", "Cl", "Br", "I")]
CRYSTALS = {
    **{
        salt: Crystal((3.9, 3.9, 3.9, 60.0, 60.0, 60.0), parse_formula(salt).elements, ((0, 0, 0), (0.5, 0.5, 0.5)))
        for salt in SALTS
    },
    "CaF2": Crystal((3.86, 3.86, 3.86, 60.0, 60.0, 60.0), ("Ca", "F", "F"), ((0, 0, 0), (0.25,) * 3, (0.75,) * 3)),
}
BARE = ("GaAs", "Ca3(PO4)2")  # candidates without a crystal, which are no structures


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = open_database(str(tmp_path_factory.mktemp("optimade") / "sluice.db"))
    with transaction(engine) as session:
        campaign = create_campaign(session, NewCampaign("salts", {}, 1, "0.1.0", tuple(StageName)), now=1.0)
        epoch = take_leadership(session, "dispatcher", read_leader(session))
        assert epoch is not None
        formulas = (*CRYSTALS, *BARE)
        cut = Cut(campaign, StageName.PREDICT, 0, len(formulas), (NewChunk(formulas=formulas),), exhausted=True)
        assert add_chunks(session, epoch, cut)
    with transaction(engine) as session:
        (view,) = snapshot(session).campaigns
        record_candidates(session, campaign, view.stages[0].waiting[0].id, [candidate(name) for name in formulas])
        best = [NewStructure(name, 0, 0, cell.to_dict(), 225, len(cell.species)) for name, cell in CRYSTALS.items()]
        record_structures(session, campaign, [*best, NewStructure("CaF2", 1, 1, CRYSTALS["LiF"].to_dict(), 1, 2)])
        assert move_campaign(session, campaign, CampaignState.DONE, now=1_763_755_200.0)
    yield engine
    engine.dispose()


def candidate(formula: str) -> NewCandidate:
    return NewCandidate(formula, parse_formula(formula).elements, len(formula), {"band_gap": (len(formula) / 2, 0.1)})


@pytest.fixture(scope="module")
def site(engine: Engine) -> Iterator[str]:
    app = FastAPI()
    app.state.service = make_service(engine, Access())
    app.include_router(routes.router)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/optimade"
        server.should_exit = True
        thread.join()


def ask(site: str, path: str, status: int = 200, **asked: Any) -> Any:
    response = POOL.request("GET", f"{site}/v1/{path}?{urlencode(asked)}", timeout=60.0)
    assert response.status == status, response.data
    return json.loads(response.data)


def formulas(answer: Any) -> list[str]:
    return [entry["attributes"]["chemical_formula_descriptive"] for entry in answer["data"]]


@pytest.mark.parametrize("seed", range(2))
def test_the_validator_of_the_specification_finds_no_failure(site: str, seed: int) -> None:
    random.seed(seed)  # it picks an entry and some fields
    validator = ImplementationValidator(base_url=f"{site}/v1", respond_json=True, run_optional_tests=True, page_limit=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        validator.validate_implementation()
    found = validator.results
    assert found.failure_messages == found.internal_failure_messages == []
    assert [message for _, message in found.optional_failure_messages if "Query references?" not in message] == []
    assert validator.valid and found.success_count > 40


def test_pymatgen_reads_structures(site: str) -> None:
    rester = OptimadeRester([f"{site}/"])
    (found,) = rester.get_structures(elements=["Ca", "F"]).values()
    (mine,) = found.values()
    wanted = CRYSTALS["CaF2"]
    assert isinstance(mine, Structure) and mine.reduced_formula == "CaF2"
    assert mine.lattice.parameters == pytest.approx(wanted.lattice)
    assert mine.get_distance(0, 1) == pytest.approx(3.86 * 0.25 * 6**0.5)
    assert mine.get_space_group_info()[1] == 225


def test_pymatgen_follows_the_pages(site: str) -> None:
    (found,) = OptimadeRester([f"{site}/"]).get_structures(nsites=2).values()
    assert len(found) == len(SALTS)


def test_pages_follow_each_other_and_hold_each_entry_once(site: str) -> None:
    seen, url = [], f"{site}/v1/structures?" + urlencode({"page_limit": 4, "sort": "-_sluice_band_gap"})
    while url:
        answer = json.loads(POOL.request("GET", url).data)
        seen += formulas(answer)
        url = answer["links"]["next"]
        assert answer["meta"]["more_data_available"] == (url is not None)
        assert answer["meta"]["data_returned"] == len(CRYSTALS)
    assert seen == sorted(CRYSTALS, key=lambda name: (-len(name), name))


def test_a_filter_with_either_spelling_finds_the_same(site: str) -> None:
    for text in ('chemical_formula_reduced = "FLi"', 'chemical_formula_reduced = "LiF"', '"LiF" = _sluice_formula'):
        assert formulas(ask(site, "structures", filter=text)) == ["LiF"]
    (entry,) = ask(site, "structures", filter='chemical_formula_anonymous = "A2B"')["data"]
    assert entry["attributes"]["elements_ratios"] == [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert entry["attributes"]["last_modified"] == "2025-11-21T20:00:00Z"
    assert entry["attributes"]["_sluice_band_gap"] == 2.0


def test_only_what_was_asked_for_comes(site: str) -> None:
    fields = "nsites,_sluice_band_gap,assemblies,_other_thing"
    answer = ask(site, "structures", response_fields=fields, filter='elements HAS "Ca"')
    (entry,) = answer["data"]
    assert set(entry) == {"id", "type", "attributes"}
    assert entry["attributes"] == {"nsites": 3, "_sluice_band_gap": 2.0, "assemblies": None, "_other_thing": None}
    assert "_other_thing" in answer["meta"]["warnings"][0]["detail"]
    assert ask(site, f"structures/{entry['id']}", response_fields="nsites")["data"]["attributes"] == {"nsites": 3}


def test_a_candidate_without_a_crystal_is_no_structure(site: str) -> None:
    assert formulas(ask(site, "structures", filter='elements HAS "Ga" OR elements HAS "P"')) == []
    assert ask(site, "structures", filter="nsites IS UNKNOWN")["meta"]["data_returned"] == 0


def test_what_belongs_to_another_database_is_unknown_here(site: str) -> None:
    answer = ask(site, "structures", filter="_mp_band_gap > 1 OR nsites = 3")
    assert formulas(answer) == ["CaF2"] and "_mp_band_gap" in answer["meta"]["warnings"][0]["detail"]


@pytest.mark.parametrize(
    ("path", "asked", "status", "hint"),
    [
        ("structures", {"filter": "crazyfield = 2"}, 400, "crazyfield"),
        ("structures", {"filter": "nsites >"}, 400, "not an OPTIMADE filter"),
        ("structures", {"filter": "nsites = 'a'"}, 400, "not an OPTIMADE filter"),
        ("structures", {"filter": 'nsites = "a"'}, 501, "a number is expected"),
        ("structures", {"filter": 'elements:elements_ratios HAS "F":>0.5'}, 501, "place by place"),
        ("structures", {"filter": '"a" = "b"'}, 501, "a property is expected"),
        ("structures", {"sort": "nonsense"}, 400, "nonsense"),
        ("structures", {"sort": "nsites,id"}, 400, "one property"),
        ("structures", {"page_limit": 0}, 400, "page_limit"),
        ("structures", {"page_limit": 501}, 403, "at most 500"),
        ("structures", {"page_offset": 10}, 400, "links.next"),
        ("structures", {"page_cursor": "nonsense"}, 400, "cursor"),
        ("structures", {"response_fields": "nonsense"}, 400, "nonsense"),
        ("structures", {"response_format": "xml"}, 400, "'json' is expected"),
        ("structures", {"nonsense": 1}, 400, "no such parameter"),
        ("structures/999", {}, 404, "999"),
        ("structures/a/b", {}, 404, "a/b"),
        (f"structures/{'1' * 5000}", {}, 404, "not found"),
        ("references", {"filter": "crazyfield = 2"}, 400, "crazyfield"),
        ("references/1", {}, 404, "there are none"),
    ],
)
def test_a_mistake_is_answered_in_one_line(site: str, path: str, asked: dict[str, Any], status: int, hint: str) -> None:
    answer = ask(site, path, status, **asked)
    (error,) = answer["errors"]
    assert hint in error["detail"] and "\n" not in error["detail"] and error["status"] == str(status)
    assert answer["meta"]["api_version"].startswith("1.")


def test_a_page_that_takes_too_long_is_given_up(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "STEPS", 1)
    monkeypatch.setattr(routes, "PATIENCE", 0.0)
    (error,) = ask(site, "structures", 503, filter="nsites > 1")["errors"]
    assert "given up" in error["detail"]


def test_a_count_that_takes_too_long_is_left_out(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "STEPS", 1)
    monkeypatch.setattr(entries, "PATIENCE", 0.0)
    answer = ask(site, "structures", page_limit=4)
    assert len(answer["data"]) == 4 and answer["meta"]["data_returned"] is None


def test_there_are_no_references(site: str) -> None:
    assert ask(site, "references", filter='doi = "10.1/2"')["data"] == []


def test_who_comes_under_another_name_needs_a_token(site: str) -> None:
    response = POOL.request("GET", f"{site}/v1/info", headers={"Host": "evil.example"})
    assert response.status == 401 and b"token" in response.data


def test_hostile_filters_meet_no_fault_of_the_server(site: str) -> None:
    for text in islice(FUZZ["filters"](random.Random(3)), 150):
        asked = urlencode({"filter": text[:20_000]}, errors="replace")
        assert POOL.request("GET", f"{site}/v1/structures?{asked}", timeout=60.0).status in (200, 400, 501)


def test_versions_are_listed_as_the_specification_says(site: str) -> None:
    response = POOL.request("GET", f"{site}/versions")
    assert response.data == b"version\n1\n" and "header=present" in response.headers["content-type"]


def test_the_router_needs_no_model() -> None:
    code = "import sys, api.optimade.routes; print(*sorted({'torch', 'ray', 'chgnet'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.split() == []
