"""The README says what stands in the tree, and what the specs beside it do."""

import ast
from pathlib import Path

import pytest

from scheduler.sources import check_source
from scheduler.spec import load_spec
from workers.models import find_card

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FILES = [
    path
    for layer in ("api", "scheduler", "storage", "workers")
    for path in sorted((ROOT / layer).rglob("*.py"))
    if path.name != "__init__.py" and "versions" not in path.parts
]


def first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_tree_names_every_file_with_its_own_first_line(path: Path) -> None:
    assert f"{path.relative_to(ROOT)}  {first_line(path)}" in [
        "  ".join(line.split(maxsplit=1)) for line in README.splitlines()
    ]


def test_the_tree_names_no_file_that_is_gone() -> None:
    named = [line.split()[0] for line in README.splitlines() if line.startswith("    ") and ".py " in line]
    assert set(named) == {str(path.relative_to(ROOT)) for path in FILES}


def test_the_count_of_the_main_job_is_that_of_its_spec() -> None:
    spec = load_spec(ROOT / "deploy/campaigns/solar-absorbers.toml")
    size = check_source(spec.source)
    assert size is not None and size >= 100_000
    assert f"{size:,}" in README


@pytest.mark.parametrize(
    ("model", "path", "scale", "form"),
    [
        ("composition-predictor", ("band_gap", "mae"), 1, "{:.3f} eV"),
        ("composition-predictor", ("formation_energy_per_atom", "mae"), 1, "{:.3f} eV/atom"),
        ("composition-predictor", ("e_above_hull", "mae"), 1, "{:.3f} eV/atom"),
        ("composition-predictor", ("band_gap", "mae_below_forest"), 100, "{:.0f}, "),
        ("composition-predictor", ("e_above_hull", "mae_below_forest"), 100, "{:.0f} % below"),
        ("crystal-generator", ("one_sample", "match_within_k"), 1, "{:.1f} % match"),
        ("crystal-generator", ("within_20", "match_within_k"), 1, "{:.1f} % within 20"),
        ("crystal-generator", ("within_20", "valid"), 1, "valid {:.1f} %"),
        ("structure-predictor", ("test", "structure_formation_energy_per_atom", "mae"), 1, "{:.3f} eV/atom"),
        ("structure-predictor", ("test", "structure_band_gap", "mae"), 1, "{:.2f} eV"),
    ],
)
def test_the_figures_of_a_model_are_those_of_its_card(
    model: str, path: tuple[str, ...], scale: float, form: str
) -> None:
    value: object = find_card(model).metrics
    for key in path:
        assert isinstance(value, dict)
        value = value[key]
    assert isinstance(value, float)
    rows = [line for line in README.splitlines() if line.startswith(f"| {model.split('-')[0]}")]
    assert len(rows) == 1 and form.format(value * scale) in rows[0]
