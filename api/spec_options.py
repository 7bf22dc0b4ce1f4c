"""The spec that `sluice screen` runs: a TOML file or a file of formulas, changed by options."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scheduler.spec import CampaignSpec, load_spec, parse_spec

TOML = ".toml"
# A file of formulas goes down the whole funnel, as far as a laptop takes it in minutes.
FUNNEL: Mapping[str, Mapping[str, int]] = {"csp": {"top": 50, "structures": 8}, "explain": {"top": 10}}


@dataclass(frozen=True, slots=True)
class SpecOptions:
    """What was asked on the command line; None leaves the spec's own value."""

    predictors: tuple[str, ...] = ()
    where: str | None = None
    top: int | None = None
    structures: int | None = None
    explain: int | None = None
    seed: int | None = None
    name: str | None = None


def asked_spec(path: Path, options: SpecOptions) -> CampaignSpec:
    """The spec of a .toml file, or of a file of formulas, under these options; raises InvalidSpec."""
    if path.suffix.lower() == TOML:
        data, place = load_spec(path).model_dump(exclude_unset=True), f"{path} with the given options"
    else:
        data, place = _formulas_spec(path), f"screen {path}"
    return parse_spec(_changed(data, options), place)


def _formulas_spec(path: Path) -> dict[str, Any]:
    stages = {stage: dict(values) for stage, values in FUNNEL.items()}
    return {
        "name": path.absolute().name or str(path),
        "source": {"kind": "file", "path": str(path.absolute())},
        **stages,
    }


def _changed(data: dict[str, Any], options: SpecOptions) -> dict[str, Any]:
    changes: tuple[tuple[str, str, object], ...] = (
        ("predict", "predictors", list(options.predictors) or None),
        ("predict", "where", options.where),
        ("csp", "top", options.top),
        ("csp", "structures", options.structures),
        ("explain", "top", options.explain),
    )
    changed = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    for table, key, value in changes:
        if value is not None:
            changed[table] = {**(changed.get(table) or {}), key: value}
    top_level = {"seed": options.seed, "name": options.name}
    return changed | {key: value for key, value in top_level.items() if value is not None}
