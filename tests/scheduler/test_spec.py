"""Specs that fit, and the one line that each misfit gets."""

import re
from pathlib import Path

import pytest

from scheduler.errors import InvalidSpec
from scheduler.spec import EnumerateSource, GenerateSource, load_spec, parse_spec, stages_of
from storage.states import StageName

GOOD = """
name = "solar"
seed = 7

[source]
kind = "enumerate"
cations = ["Cu", "Ba"]
anions = ["S"]

[predict]
where = 'band_gap >= 1.0 AND band_gap <= 1.8 AND e_above_hull <= 0.1'

[csp]
top = 50

[explain]
"""


GENERATED = """
[source]
kind = "generate"
count = 100
space_group = 225

[csp]
top = 5
"""
SUBSTITUTED = """
[source]
kind = "substitute"
path = "known.csv"
replace = { Ba = ["Sr", "Ca"] }
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "spec.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_spec_of_the_main_job(tmp_path: Path) -> None:
    spec = load_spec(written(tmp_path, GOOD))
    assert (spec.name, spec.seed, spec.predict.score) == ("solar", 7, "-e_above_hull")
    assert isinstance(spec.source, EnumerateSource) and spec.source.cations == ["Cu", "Ba"]
    assert spec.csp is not None and (spec.csp.top, spec.csp.structures, spec.csp.relax_steps) == (50, 8, 30)
    assert stages_of(spec) == tuple(StageName)


def test_generators_go_by_their_grammar_and_conditions_by_their_names(tmp_path: Path) -> None:
    spec = load_spec(written(tmp_path, GOOD.replace("top = 50", 'model = "materium"\ndensity = 5\nhhi = 2000.0')))
    assert spec.csp is not None and spec.csp.model == "materium-generator"
    assert spec.csp.wanted == (("density", 5.0), ("hhi", 2000.0))
    assert parse_spec(spec.model_dump(mode="json"), "database") == spec


def test_what_comes_back_from_json_is_the_same_spec(tmp_path: Path) -> None:
    spec = load_spec(written(tmp_path, GOOD))
    assert parse_spec(spec.model_dump(mode="json"), "database") == spec


def test_predictors_of_ones_own_may_stand_in_filter_and_score(tmp_path: Path) -> None:
    tables = 'predictors = ["hardness"]\nscore = "hardness - 2 * hardness_std"\n'
    where = "where = 'P(hardness > 10) >= 0.5 AND hardness_std < 3'"
    spec = load_spec(written(tmp_path, re.sub("where = .*", tables + where, GOOD)))
    assert spec.predict.predictors == ["hardness"]
    assert parse_spec(spec.model_dump(mode="json"), "database") == spec


def test_path_is_taken_from_the_folder_of_the_spec(tmp_path: Path) -> None:
    spec = load_spec(written(tmp_path, '[source]\nkind = "file"\npath = "mine.csv"\n'))
    assert spec.source.path == str(tmp_path / "mine.csv")  # type: ignore[union-attr]


def test_csp_wishes_what_its_source_wishes_but_for_what_it_says_itself(tmp_path: Path) -> None:
    wishes = 'space_group = 225\nband_gap = 1.4\ndensity = 5\nguidance = 2\nmodel = "materium"'
    spec = load_spec(written(tmp_path, GENERATED.replace("space_group = 225", wishes) + "density = 6\n"))
    assert isinstance(spec.source, GenerateSource) and spec.csp is not None
    assert spec.source.wanted == (("density", 5.0), ("band_gap", 1.4))
    assert spec.csp.wanted == (("density", 6.0), ("band_gap", 1.4))
    assert (spec.csp.model, spec.csp.space_group, spec.csp.guidance) == ("materium-generator", 225, 2.0)
    assert parse_spec(spec.model_dump(mode="json"), "database") == spec


def test_without_structures_there_is_neither_csp_nor_judge(tmp_path: Path) -> None:
    spec = load_spec(written(tmp_path, GOOD.replace("top = 50", "structures = 0")))
    assert stages_of(spec) == (StageName.PREDICT, StageName.EXPLAIN)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('name = "solar"', "nmae = 1", "unknown key 'nmae'; name, seed, source, predict"),
        (
            "[predict]",
            "[predict]\nwhre = 1",
            "unknown key 'predict.whre'; model, predictors, where, score are accepted",
        ),
        ('anions = ["S"]', 'anions = ["S"]\nanoins = 1', "unknown key 'source.anoins'; kind, cations"),
        ("seed = 7", "seed = -1", "seed = -1: input should be greater than or equal to 0"),
        ("seed = 7", 'seed = "x"', "seed = 'x': input should be a valid integer"),
        ("top = 50", "top = 0", "csp.top = 0: input should be greater than or equal to 1"),
        ("top = 50", "density = 30", "csp.density: condition density 30: 0.1 to 25 g/cm³ are accepted"),
        ("top = 50", "band_gap = nan", "csp.band_gap: condition band_gap nan: 0 to 18 eV are accepted"),
        ("top = 50", "space_group = 231", "csp.space_group = 231: input should be less than or equal to 230"),
        ("top = 50", 'rank = "beauty"', "csp.rank = 'beauty'"),
        ("top = 50", "top_p = 0", "csp.top_p = 0: input should be greater than 0"),
        ('kind = "enumerate"', 'kind = "guess"', "source"),
        ('kind = "enumerate"', "", "source.kind is missing"),
        ('cations = ["Cu", "Ba"]', "", "source.cations is missing"),
        ("band_gap >= 1.0", "band_gap >= 2.0", "selects nothing: band_gap cannot be at least 2 and at most 1.8"),
        ("band_gap >= 1.0", "band_gup >= 1.0", "'band_gup' is not predicted"),
        ("band_gap >= 1.0", "band_gap >> 1.0", "predict.where: filter"),
        ("[predict]", '[predict]\nscore = "gap"', "predict.score: score 'gap': 'gap' is not a property"),
        ("[predict]", '[predict]\npredictors = ["Hard"]', "predict.predictors: 'Hard' is no predictor of your own"),
        ("[predict]", '[predict]\npredictors = ["band_gap"]', "predict.predictors: 'band_gap'"),
        ("[predict]", '[predict]\npredictors = ["a", "a"]', "predict.predictors: 'a' stands there twice"),
        ("band_gap >= 1.0", "hardness > 1", "'hardness' is not predicted"),
        ("band_gap >= 1.0", "P(band_gap > 1) >= 2", "predict.where: filter"),
        ("band_gap >= 1.0", "P(band_gap_std > 1) >= 0.2", "P(…) of 'band_gap_std'"),
        ("band_gap >= 1.0", "P(hardness > 1) >= 0.2", "'hardness' is not predicted"),
        ("[explain]", '[explain]\nproperty = "smell"', "explain.property = 'smell'"),
        ("seed = 7", "seed = = 7", "not TOML"),
    ],
)
def test_misfit_gets_one_line_with_file_key_and_value(tmp_path: Path, old: str, new: str, line: str) -> None:
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(InvalidSpec) as caught:
        load_spec(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and line in message and "\n" not in message


@pytest.mark.parametrize(
    ("spec", "old", "new", "line"),
    [
        (GENERATED, "count = 100", "count = 0", "source.count = 0: input should be greater than or equal to 1"),
        (GENERATED, "count = 100", "", "source.count is missing"),
        (GENERATED, "count = 100", "count = 1.5", "source.count = 1.5: input should be a valid integer"),
        (GENERATED, "225", "231", "source.space_group = 231: input should be less than or equal to 230"),
        (GENERATED, "space_group = 225", "beauty = 1", "unknown key 'source.beauty'; model, temperature, top_p"),
        (GENERATED, "space_group = 225", "density = 30", "source.density: condition density 30: 0.1 to 25 g/cm³"),
        (GENERATED, "space_group = 225", "band_gap = inf", "source.band_gap: condition band_gap inf: 0 to 18 eV"),
        (GENERATED, "top = 5", "hhi = 1", "csp.hhi: condition hhi 1: 500 to 10000 are accepted"),
        (SUBSTITUTED, '{ Ba = ["Sr", "Ca"] }', "{}", "source: replace: it is empty"),
        (SUBSTITUTED, '["Sr", "Ca"]', "[]", "source: replace: nothing takes the place of Ba"),
        (SUBSTITUTED, '"Sr"', '"Xx"', "source: replace: 'Xx' is no element"),
        (SUBSTITUTED, '"Sr"', '"He"', "source: replace: 'He' is no element"),
        (SUBSTITUTED, '"Sr"', '"Ba"', "source: replace: Ba = ['Ba', 'Ca']: different elements other than Ba"),
        (SUBSTITUTED, 'path = "known.csv"', "", "source.path is missing"),
    ],
)
def test_sources_that_do_not_fit_get_one_line(tmp_path: Path, spec: str, old: str, new: str, line: str) -> None:
    assert old in spec
    with pytest.raises(InvalidSpec) as caught:
        load_spec(written(tmp_path, spec.replace(old, new)))
    assert line in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe name"])
def test_unreadable_spec_gets_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "spec.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidSpec, match="TOML spec is expected"):
        load_spec(path)
