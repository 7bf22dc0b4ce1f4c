"""Every error is a problem of RFC 9457, in the words of the command line."""

from urllib.parse import quote

import pytest
from sqlalchemy import text

from api.problems import INTERNAL


def test_a_path_that_is_not_there(shown) -> None:
    problem = shown.problem(404, "GET", "/v1/nothing")
    assert (problem["type"], problem["title"], problem["instance"]) == ("about:blank", "Not Found", "/v1/nothing")


def test_a_method_that_is_not_there_names_those_that_are(shown) -> None:
    for path, methods in (("/v1/campaigns/1", "GET"), ("/v1/tokens", "GET, POST"), ("/v1/tokens/1", "DELETE")):
        shown.problem(405, "PUT", path)
        assert shown.ask("PUT", path).headers["allow"] == methods


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/campaigns/0", ["path.id", "greater than or equal to 1"]),
        ("/v1/campaigns/x", ["path.id", "integer"]),
        ("/v1/candidates?limit=0", ["query.limit"]),
        ("/v1/candidates?cursor=%00", ["cursor"]),
        ("/v1/candidates?cursor=e30", ["cursor"]),
        ("/v1/candidates?campaign=99999999999999999999", ["query.campaign"]),
        ("/v1/candidates/1/structure?format=pdb", ["cif", "poscar", "extxyz", "json"]),
        ("/v1/candidates.xlsx", ["csv", "jsonl", "parquet"]),
    ],
)
def test_a_value_that_does_not_fit_is_named(shown, path: str, words: list[str]) -> None:
    detail = shown.problem(422, "GET", path)["detail"]
    assert all(word in detail for word in words)


@pytest.mark.parametrize(
    ("asked", "arguments"),
    [
        ("filter=bandgap > 1", ["bandgap > 1"]),
        ("filter=band_gap >", ["band_gap >"]),
        ('filter=band_gap > "x"', ['band_gap > "x"']),
        ("sort=-gap", ["--sort", "-gap"]),
        ("campaign=9", ["--campaign", "9"]),
    ],
)
def test_a_mistake_is_told_as_on_the_command_line(sluice, shown, asked: str, arguments: list[str]) -> None:
    said = sluice("query", *arguments, "--db", shown.engine.url.database).stderr.removeprefix("sluice: ").strip()
    name, _, value = asked.partition("=")
    status = 404 if name == "campaign" else 422
    for path in ("/v1/candidates", "/v1/candidates.csv"):
        assert shown.problem(status, "GET", f"{path}?{name}={quote(value)}")["detail"] == said


def test_an_error_inside_tells_nothing_of_the_inside(site, caplog: pytest.LogCaptureFixture) -> None:
    with site.engine.begin() as connection:
        connection.execute(text("UPDATE structure SET crystal = '{}'"))
    problem = site.problem(500, "GET", f"/v1/candidates/{with_structure(site)}/structure")
    assert problem["detail"] == INTERNAL
    assert "KeyError" in caplog.text


def test_a_database_that_lost_its_tables_is_no_mistake_of_the_client(site) -> None:
    with site.engine.begin() as connection:
        connection.execute(text("ALTER TABLE candidate RENAME TO gone"))
    problem = site.problem(503, "GET", "/v1/candidates")
    assert "gone" not in problem["detail"] and "SELECT" not in problem["detail"]


def with_structure(site) -> int:
    (row,) = site.get("/v1/candidates?filter=formula%3D%22GaAs%22")["data"]
    return int(row["id"])
