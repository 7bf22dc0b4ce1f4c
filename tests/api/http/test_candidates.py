"""/v1/candidates: pages, cards, structures, explanations, exports."""

import csv
import io
import json
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest
import urllib3
from ase.io import read as read_atoms
from pymatgen.core import Structure

from api.service import EXPORTS, Access
from storage.candidates import NewCandidate, record_candidates
from storage.engine import transaction


def named(site, formula: str) -> int:
    (row,) = site.get(f"/v1/candidates?filter=formula%3D%22{quote(formula)}%22")["data"]
    return int(row["id"])


def test_rows_are_those_of_the_command_line(sluice, shown) -> None:
    asked = 'elements HAS ANY "Te","As"'
    said = json.loads(sluice("query", asked, "--sort", "formula", "--json", "--db", shown.engine.url.database).stdout)
    rows = shown.get(f"/v1/candidates?filter={quote(asked)}&sort=formula")["data"]
    assert [{key: row[key] for key in said[0]} for row in rows] == said
    assert rows[0]["nelements"] == 2 and rows[0]["id"] > 0


@pytest.mark.parametrize("sort", ["-score", "formula", "-structure_band_gap", "space_group", "verdict"])
def test_pages_by_cursor_are_the_whole_list(shown, sort: str) -> None:
    whole = shown.get(f"/v1/candidates?sort={sort}")
    assert whole["next"] is None and len(whole["data"]) == 5
    rows, path = [], f"/v1/candidates?sort={sort}&limit=2"
    page = shown.get(path)
    rows += page["data"]
    while page["next"]:
        page = shown.get(f"{path}&cursor={page['next']}")
        rows += page["data"]
    assert rows == whole["data"]


def test_how_many_there_are_is_told_when_asked_for(shown) -> None:
    assert shown.get("/v1/candidates?filter=nelements%3D2&limit=1&count=true")["total"] == {"number": 4, "exact": True}
    assert shown.get("/v1/candidates?limit=1")["total"] is None


def test_a_cursor_belongs_to_its_list(shown) -> None:
    cursor = shown.get("/v1/candidates?limit=2")["next"]
    for other in ("sort=score", "campaign=1", "filter=nelements%3D2"):
        assert "another" in shown.problem(422, "GET", f"/v1/candidates?{other}&cursor={cursor}")["detail"]


def test_pages_go_on_while_candidates_are_stored(site) -> None:
    first = site.get("/v1/candidates?limit=2")
    with transaction(site.engine) as session:
        rows = [NewCandidate(f"Rb{n}Cl", ("Rb", "Cl"), 9.0 - n, {}) for n in range(1, 5)]
        record_candidates(session, 1, 1, rows)
    second = site.get(f"/v1/candidates?limit=10&cursor={first['next']}")
    formulas = [row["formula"] for page in (first, second) for row in page["data"]]
    assert formulas == ["GaAs", "CdTe", "BaTe", "CsPbI3", "Fe0.62C0.38"]


def test_a_property_that_users_added_is_shown_and_sorted_by(site) -> None:
    with transaction(site.engine) as session:
        record_candidates(session, 1, 1, [NewCandidate("RbCl", ("Rb", "Cl"), 1.0, {"hardness": (2.5, 0.5)})])
    rows = site.get("/v1/candidates?sort=-hardness&limit=2")["data"]
    assert (rows[0]["formula"], rows[0]["hardness"], rows[0]["hardness_std"]) == ("RbCl", 2.5, 0.5)
    assert rows[1]["hardness"] is None


def test_the_card_holds_all_that_is_known(shown) -> None:
    card = shown.get(f"/v1/candidates/{named(shown, 'GaAs')}")
    assert card["predictions"]["band_gap"] == {"value": 1.2, "std": 0.2, "unit": "eV"}
    assert card["predictions"]["structure_density"] == {"value": 5.3, "std": None, "unit": "g/cm³"}
    assert [entry["rank"] for entry in card["structures"]] == [0, 1]
    assert card["elements"] == ["As", "Ga"]
    (explanation,) = card["explanations"]
    total = explanation["baseline"] + sum(each["value"] for each in explanation["interactions"])
    assert total == pytest.approx(explanation["value"], abs=1e-4)
    assert shown.get(f"/v1/candidates/{card['id']}/explanations") == card["explanations"]
    shown.problem(404, "GET", "/v1/candidates/99999")


def test_a_structure_reads_the_same_in_every_format(shown) -> None:
    path = f"/v1/candidates/{named(shown, 'GaAs')}/structure"
    texts = {form: shown.ask("GET", f"{path}?format={form}").data.decode() for form in ("cif", "poscar", "json")}
    found = [Structure.from_dict(json.loads(texts["json"]))]
    found += [Structure.from_str(texts[form], fmt=form) for form in ("cif", "poscar")]
    atoms = read_atoms(io.StringIO(shown.ask("GET", f"{path}?format=extxyz").data.decode()), format="extxyz")
    for structure in found:
        assert structure.composition.reduced_formula == "GaAs"
        assert structure.volume == pytest.approx(found[0].volume, rel=1e-6)
        assert structure.get_distance(0, 1) == pytest.approx(found[0].get_distance(0, 1), rel=1e-6)
    assert atoms.get_volume() == pytest.approx(found[0].volume, rel=1e-6)
    assert shown.ask("GET", path).headers["content-type"].startswith("chemical/x-cif")


def test_a_structure_that_is_not_there(shown) -> None:
    path = f"/v1/candidates/{named(shown, 'GaAs')}/structure"
    assert "has 2" in shown.problem(404, "GET", f"{path}?rank=2")["detail"]
    shown.problem(404, "GET", f"/v1/candidates/{named(shown, 'BaTe')}/structure")


def test_exports_hold_what_pages_hold(sluice, shown) -> None:
    rows = shown.get("/v1/candidates?sort=formula")["data"]
    text = shown.ask("GET", "/v1/candidates.csv?sort=formula", "read").data.decode()
    said = sluice("query", "--sort", "formula", "--format", "csv", "--db", shown.engine.url.database).stdout
    assert text == said
    names = next(csv.reader(io.StringIO(text)))
    expected = [{key: row[key] for key in names} for row in rows]
    lines = shown.ask("GET", "/v1/candidates.jsonl?sort=formula", "read").data.decode().splitlines()
    assert [json.loads(line) for line in lines] == expected
    table = pq.read_table(io.BytesIO(shown.ask("GET", "/v1/candidates.parquet?sort=formula", "read").data))
    assert table.to_pylist() == expected


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_an_export_of_nothing_is_whole(shown, form: str) -> None:
    data = shown.ask("GET", f"/v1/candidates.{form}?filter=band_gap%3E99", "read").data
    match form:
        case "csv":
            assert data.decode().count("\n") == 1
        case "jsonl":
            assert data == b""
        case _:
            assert pq.read_table(io.BytesIO(data)).num_rows == 0


def test_a_reader_that_goes_away_leaves_its_place_to_others(engine, serve) -> None:
    with transaction(engine) as session:
        rows = [NewCandidate(f"Rb{n}Cl", ("Rb", "Cl"), float(n), {"hardness": (n, 0.1)}) for n in range(1, 30_000)]
        record_candidates(session, 1, 1, rows)
    with serve(engine, Access(rate=1e4)) as site:
        for _ in range(EXPORTS + 2):
            response = site.ask("GET", "/v1/health", "read")
            assert response.status == 200
            partial = _begun(site, "/v1/candidates.csv")
            assert partial.read(100).startswith(b"campaign,formula")
            partial.close()
        whole = _begun(site, "/v1/candidates.jsonl").read()
        assert whole.count(b"\n") == 5 + len(rows)


def _begun(site, path: str) -> urllib3.BaseHTTPResponse:
    headers = {"Authorization": f"Bearer {site.tokens['read']}"}
    patient = urllib3.Retry(total=60, status_forcelist=[503])  # the server notices a while later that a reader has gone
    return urllib3.PoolManager(retries=patient).request("GET", site.url + path, headers=headers, preload_content=False)


def test_no_more_exports_than_so_many_at_a_time(shown) -> None:
    service = shown.service
    for _ in range(EXPORTS):
        assert service.exports.acquire(blocking=False)
    problem = shown.problem(503, "GET", "/v1/candidates.csv", "read")
    assert f"{EXPORTS} exports" in problem["detail"]
    assert shown.ask("GET", "/v1/candidates", "read").status == 200
    service.exports.release(EXPORTS)
    assert shown.ask("GET", "/v1/candidates.csv", "read").status == 200
