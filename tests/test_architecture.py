"""The house: layers, import weight, the names it owns, the size of its rooms."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("workers", "storage", "scheduler", "api")  # each may import itself and what stands before it
LIGHT = (
    "storage.tables",
    "storage.engine",
    "storage.queries",
    "scheduler.settings",
    "scheduler.spec",
    "api.cli",
    "api.app",
    "api.client",
)
TORCHLESS = ("workers.compositions", "workers.crystals", "workers.properties", "workers.filters", "workers.cards")


def sources() -> list[Path]:
    return [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py")) if "versions" not in path.parts]


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield str(node.module)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_layer_imports_only_what_stands_below_it(path: Path) -> None:
    layer = path.relative_to(ROOT).parts[0]
    above = LAYERS[LAYERS.index(layer) + 1 :]
    found = {name.split(".")[0] for name in imports(ast.parse(path.read_text(encoding="utf-8")))}
    assert not found & set(above)


def loaded(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", LIGHT)
def test_what_the_api_host_imports_is_light(module: str) -> None:
    assert not loaded(module) & {"torch", "ray", "chgnet", "shapiq"}


@pytest.mark.parametrize("module", TORCHLESS)
def test_the_nouns_of_the_science_need_no_torch(module: str) -> None:
    assert "torch" not in loaded(module)


def test_no_other_distribution_owns_our_names() -> None:
    owners = packages_distributions()
    for layer in LAYERS:
        assert set(owners.get(layer, ["sluice"])) == {"sluice"}


def test_only_the_settings_read_the_environment() -> None:
    readers = [p for p in sources() if "os.environ" in p.read_text() or "getenv" in p.read_text()]
    assert {str(path.relative_to(ROOT)) for path in readers} <= {"scheduler/settings.py"}


def code_lines(node: ast.AST, text: list[str]) -> int:
    first, last = node.lineno, node.end_lineno  # type: ignore[attr-defined]
    body = node.body  # type: ignore[attr-defined]
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        first = body[0].end_lineno or first
    return sum(1 for line in text[first - 1 : last] if line.strip() and not line.strip().startswith("#"))


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_functions_and_arguments_stay_small(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    text = source.splitlines()
    assert sum(1 for line in text if line.strip() and not line.strip().startswith("#")) <= 400
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert code_lines(node, text) <= 45, node.name
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            assert len([a for a in arguments if a.arg not in ("self", "cls")]) <= 6, node.name
