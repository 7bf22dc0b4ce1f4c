"""The README says what stands in the tree, and what the specs beside it do."""

import ast
from pathlib import Path

import pytest

from scheduler.sources import check_source
from scheduler.spec import load_spec

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
