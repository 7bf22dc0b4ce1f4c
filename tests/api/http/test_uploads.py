"""Campaigns from files that come with the request."""

import gzip
import io
import json
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.engine import reading
from storage.sources import read_formulas

CSV = b"name,formula\none,BaTe\ntwo,Te1Ba1\nthree,Xx2O\nfour,CdTe\n"
KIND = {"Content_Type": "application/octet-stream"}


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"formula": ["BaTe", "Te1Ba1", "Xx2O", "CdTe"]}), file)
    return file.getvalue()


def path(**query: str) -> str:
    return f"/v1/uploads?{urlencode(query)}"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("mine.csv", CSV),
        ("mine.csv.gz", gzip.compress(CSV, mtime=0)),
        ("mine.txt", b"BaTe\nTe1Ba1\nXx2O\nCdTe\n"),
        ("mine.parquet", parquet()),
    ],
)
def test_a_files_formulas_are_kept_with_its_campaign(site, name: str, body: bytes) -> None:
    spec = json.dumps({"seed": 3, "csp": {"top": 2}})
    response = site.ask("POST", path(filename=name, spec=spec), "run", body, **KIND)
    assert response.status == 201, response.data
    status = response.json()
    assert (status["name"], status["state"], status["seed"]) == (name, "running", 3)
    assert status["source"] == {"input": 4, "unique": 2, "invalid": 1, "duplicate": 1}
    assert status["stages"][0]["total"] == 2
    assert response.headers["location"] == f"/v1/campaigns/{status['id']}"
    with reading(site.engine) as session:
        assert read_formulas(session, status["id"], 0, 9) == ["BaTe", "CdTe"]


def test_another_column_may_hold_the_formulas(site) -> None:
    body = b"formula,other\nBaTe,CsI\n"
    status = site.ask("POST", path(filename="mine.csv", column="other"), "run", body, **KIND).json()
    with reading(site.engine) as session:
        assert read_formulas(session, status["id"], 0, 9) == ["CsI"]


@pytest.mark.parametrize(
    ("query", "body", "word"),
    [
        ({"filename": "mine.csv"}, b"", "empty"),
        ({"filename": "mine.parquet"}, b"BaTe\n", "cannot be read"),
        ({"filename": "mine.csv", "column": "absent"}, CSV, "absent"),
        ({"filename": "mine.csv", "spec": '{"csp": {"tops": 1}}'}, CSV, "tops"),
        ({"filename": "mine.csv", "spec": "{"}, CSV, "not JSON"),
        ({"filename": "mine.csv", "spec": '{"predict": {"model": "/etc"}}'}, CSV, "/etc"),
        ({"filename": "../mine.csv"}, CSV, "filename"),
        ({"filename": "a/b.csv"}, CSV, "filename"),
    ],
)
def test_what_cannot_be_screened_makes_no_campaign(site, query: dict[str, str], body: bytes, word: str) -> None:
    before = site.get("/v1/campaigns")
    problem = site.problem(422, "POST", path(**query), "run", body, **KIND)
    assert word in problem["detail"]
    assert "sluice-upload" not in problem["detail"]
    assert site.get("/v1/campaigns") == before


def test_a_file_may_be_larger_than_other_requests_but_not_endless(site) -> None:
    lines = b"BaTe\n" * (1 << 18)
    assert len(lines) > 1 << 20
    status = site.ask("POST", path(filename="many.txt"), "run", lines, **KIND).json()
    assert status["source"]["duplicate"] == (1 << 18) - 1
    site.problem(413, "POST", path(filename="many.txt"), "run", b"x" * ((32 << 20) + 1), **KIND)


def test_readers_start_nothing(site) -> None:
    site.problem(403, "POST", path(filename="mine.csv"), "read", CSV, **KIND)
