"""The spec that `sluice screen` makes of a file and options."""

from pathlib import Path
from tomllib import loads

import pytest

from api.routes.campaigns import EXAMPLE, PROPOSED, TOML
from api.spec_options import SpecOptions, asked_spec
from scheduler.campaigns import model_cards
from scheduler.errors import InvalidSpec
from scheduler.sources import check_source
from scheduler.spec import load_spec, parse_spec, roles_of, stages_of
from storage.states import StageName

CAMPAIGNS = Path(__file__).parents[2] / "deploy" / "campaigns"
SPEC = '[source]\nkind = "file"\npath = "formulas.csv"\n[predict]\nwhere = "band_gap > 1"\n'


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "spec.toml"
    path.write_text(SPEC)
    return path


def test_a_file_of_formulas_goes_down_the_whole_funnel_unfiltered(tmp_path: Path) -> None:
    spec = asked_spec(tmp_path / "mine.csv.gz", SpecOptions())
    assert spec.source.path == str(tmp_path / "mine.csv.gz")
    assert (spec.name, spec.predict.where) == ("mine.csv.gz", None)
    assert stages_of(spec) == tuple(StageName)


def test_no_structures_leaves_the_stages_of_structures_out(tmp_path: Path) -> None:
    spec = asked_spec(tmp_path / "mine.txt", SpecOptions(structures=0, explain=0))
    assert stages_of(spec) == (StageName.PREDICT,)


def test_options_override_the_spec_and_leave_the_rest(toml: Path) -> None:
    assert asked_spec(toml, SpecOptions()).csp is None
    spec = asked_spec(toml, SpecOptions(where="band_gap > 2", top=3, structures=2, explain=1, seed=9, name="mine"))
    assert (spec.predict.where, spec.seed, spec.name) == ("band_gap > 2", 9, "mine")
    assert spec.csp is not None and (spec.csp.top, spec.csp.structures) == (3, 2)
    assert spec.explain is not None and spec.explain.top == 1
    assert spec.source.path == str(toml.parent / "formulas.csv")


def test_an_option_that_is_zero_is_still_an_option(toml: Path) -> None:
    toml.write_text(SPEC + "[csp]\ntop = 5\n")
    assert stages_of(asked_spec(toml, SpecOptions(structures=0))) == (StageName.PREDICT,)
    assert asked_spec(toml, SpecOptions(seed=0)).seed == 0


@pytest.mark.parametrize("options", [SpecOptions(where="bandgap > 1"), SpecOptions(top=0), SpecOptions(seed=-1)])
def test_an_option_that_does_not_fit_is_refused(toml: Path, options: SpecOptions) -> None:
    with pytest.raises(InvalidSpec):
        asked_spec(toml, options)


@pytest.mark.parametrize("name", ["solar-absorbers", "from-file"])
def test_the_examples_are_campaigns_of_all_four_stages(name: str) -> None:
    assert stages_of(asked_spec(CAMPAIGNS / f"{name}.toml", SpecOptions())) == tuple(StageName)


@pytest.mark.parametrize("path", sorted(CAMPAIGNS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_example_has_something_to_screen_and_models_for_it(path: Path) -> None:
    spec = load_spec(path)
    size = check_source(spec.source)
    assert size is None or size > 0
    assert set(model_cards(spec)) == set(roles_of(spec))


def test_the_described_bodies_are_specs() -> None:
    assert [parse_spec(body, "example").name for body in (EXAMPLE, PROPOSED)] == ["tellurides", "new absorbers"]
    assert parse_spec(loads(TOML), "example").name == "tellurides"
