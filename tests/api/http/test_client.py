"""The client: typed values, frames and structures; what fails is one line."""

from pathlib import Path

import pandas as pd
import pytest
from pymatgen.core import Structure

from api.client import Client
from api.errors import Declined, InvalidRequest, Unreachable
from storage.campaigns import move_campaign
from storage.candidates import NewCandidate, record_candidates
from storage.engine import transaction
from storage.states import CampaignState

SPEC = {"name": "halides", "source": {"kind": "list", "formulas": ["CsI", "PbI2"]}}


@pytest.fixture
def client(site):
    with Client(site.url, site.tokens["run"]) as client:
        yield client


@pytest.fixture
def reader(shown):
    with Client(shown.url, shown.tokens["read"]) as client:
        yield client


def test_candidates_are_a_frame_of_numbers(reader) -> None:
    frame = reader.candidates("band_gap > 1.1", sort="formula")
    assert list(frame.formula) == ["BaTe", "CdTe", "CsPbI3", "GaAs"]
    assert frame.band_gap.dtype == frame.bulk_modulus.dtype == "float64"
    assert frame.bulk_modulus.isna().all()
    assert list(reader.candidates(limit=2).formula) == ["GaAs", "CdTe"]
    nothing = reader.candidates("band_gap > 99")
    assert len(nothing) == 0 and set(frame.columns) == set(nothing.columns)


def test_every_page_is_read(client, site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.client.PAGE", 2)
    frame = client.candidates()
    assert len(frame) == frame.id.nunique() == 5
    for _ in range(4):
        client.create_campaign(SPEC)
    assert [entry.id for entry in client.campaigns()] == [5, 4, 3, 2, 1]


def test_structures_are_those_of_pymatgen(reader) -> None:
    row = reader.candidates('formula = "GaAs"').iloc[0]
    structure = reader.structure(int(row.id))
    assert isinstance(structure, Structure) and structure.reduced_formula == "GaAs"
    assert reader.candidate(int(row.id)).structures[0].nsites == len(structure)


def test_exports_are_files(reader, tmp_path: Path) -> None:
    for suffix, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        frame = read(reader.export(tmp_path / f"all.{suffix}", "nelements = 2"))
        assert list(frame.formula) == ["GaAs", "CdTe", "BaTe", "Fe0.62C0.38"]
    with pytest.raises(Declined, match="422"):
        reader.export(tmp_path / "all.xlsx")
    with pytest.raises(InvalidRequest, match="parquet is expected"):
        reader.export(tmp_path / "all")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.csv", "all.parquet"]


def test_a_campaign_is_made_once_watched_and_moved(client, site) -> None:
    made = client.create_campaign(SPEC, key="k")
    assert client.create_campaign(SPEC, key="k") == made
    assert client.create_campaign('[source]\nkind = "list"\nformulas = ["CsI"]').name == "campaign"
    watched = client.watch(made.id)
    assert next(watched) == made
    assert client.pause(made.id).state == "paused"
    assert next(watched).state == "paused"
    assert client.resume(made.id).state == "running"
    with transaction(site.engine) as session:
        record_candidates(session, made.id, 1, [NewCandidate("CsI", ("Cs", "I"), 1.0, {"band_gap": (3.6, 0.2)})])
        assert move_campaign(session, made.id, CampaignState.DONE, now=9.0)
    assert client.wait(made.id).state == "done"
    assert [status.state for status in watched][-1] == "done"
    assert [card.formula for card in client.report(made.id).candidates] == ["CsI"]


def test_what_is_declined_is_told_in_the_words_of_the_server(client, reader) -> None:
    with pytest.raises(Declined, match="422 Invalid filter: filter 'bandgap'"):
        reader.candidates("bandgap > 1")
    with pytest.raises(Declined, match="403 Role too low"):
        reader.create_campaign(SPEC)
    with pytest.raises(Declined, match="404 Not found: campaign 99"):
        client.wait(99)


def test_a_server_that_is_not_there_is_one_line() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(Unreachable, match="sluice serve"):
        client.models()


def test_models_are_listed(reader) -> None:
    assert "composition-predictor" in [card["name"] for card in reader.models()]
