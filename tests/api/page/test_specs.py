"""A spec as it is being typed."""

import json

import pytest


def checked(site, body: bytes, kind: str = "application/json") -> dict[str, object]:
    response = site.ask("POST", "/page/spec", "read", body, Content_Type=kind)
    assert response.status == 200, response.data
    return response.json()


def test_every_flaw_has_a_line(site) -> None:
    spec = {
        "seed": -1,
        "source": {"kind": "list", "formulas": ["Xx2O"]},
        "predict": {"where": "gap > 1"},
        "csp": {"tops": 3},
    }
    flaws = checked(site, json.dumps(spec).encode())["flaws"]
    assert len(flaws) == 4
    for part in ("seed = -1", "'Xx' is not an element", "'gap' is not predicted", "unknown key 'csp.tops'"):
        assert any(part in flaw for flaw in flaws), part
    assert not any("\n" in flaw for flaw in flaws)


@pytest.mark.parametrize(
    ("body", "kind", "size"),
    [
        (b'{"source": {"kind": "enumerate", "cations": ["Ba", "Cd"], "anions": ["Te"]}}', "application/json", None),
        (b'[source]\nkind = "list"\nformulas = ["BaTe", "CdTe"]', "application/toml", 2),
        (b'{"source": {"kind": "file", "path": "formulas.csv"}}', "application/json", None),
    ],
)
def test_a_sound_spec_says_how_large_it_is(site, body: bytes, kind: str, size: int | None) -> None:
    found = checked(site, body, kind)
    assert found["flaws"] == []
    if b"enumerate" in body:
        assert found["size"] > 1
    else:
        assert found["size"] == size


def test_what_only_the_server_knows_is_a_flaw_too(site) -> None:
    source = {"kind": "list", "formulas": ["BaTe"]}
    no_model = checked(site, json.dumps({"source": source, "predict": {"model": "oracle"}}).encode())["flaws"]
    assert len(no_model) == 1 and "'oracle'" in no_model[0]
    nothing = {"kind": "enumerate", "cations": ["Ba"], "anions": ["Te"], "max_atoms": 2}
    flaws = checked(site, json.dumps({"source": nothing}).encode())["flaws"]
    assert len(flaws) == 1 and "no charge-balanced composition" in flaws[0]


def test_text_that_is_no_toml_is_told(site) -> None:
    response = site.ask("POST", "/page/spec", "read", b"name = ", Content_Type="application/toml")
    assert response.status == 422
    assert "not TOML" in response.json()["detail"]
