"""The ablation table: means over a task's tests, by variant, as JSON and as Markdown."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from workers.predictors.benchmark.runs import VARIANTS
from workers.predictors.benchmark.tasks import PUBLISHED, parts_of
from workers.predictors.transfer.holdout import SOURCES

Json = dict[str, Any]


def gather(work: Path) -> Json:
    """By task and variant: the mean of the main score over the tests that were run, how many, and the minutes."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((work / "runs").glob("*.json"))]
    tasks: Json = {}
    for task, source in SOURCES.items():
        name = "balanced_accuracy" if source.classification else "mae"
        variants = {}
        for variant in VARIANTS:
            own = [result for result in results if (result["task"], result["variant"]) == (task, variant)]
            if own:
                variants[variant] = _summary(own, name)
        tasks[task] = {"score": name, "tests": len(parts_of(task)), "published": PUBLISHED.get(task, ""), **variants}
    return {"tasks": tasks, "alignment": _gain(tasks, "masked", "aligned"), "transfer": _gain(tasks, "none", "aligned")}


def _summary(results: list[Json], name: str) -> Json:
    scores = [result["scores"] for result in results]
    means = {key: round(float(np.mean([score[key] for score in scores])), 5) for key in scores[0]}
    unseen = [result["unseen"][name] for result in results if name in result["unseen"]]
    return {
        "mean": means[name],
        "tests": len({result["part"] for result in results}),
        "minutes": round(sum(result["seconds"] for result in results) / 60, 2),
        "unseen_compositions": round(float(np.mean(unseen)), 5) if unseen else None,
        "scores": means,
    }


def _gain(tasks: Json, before: str, after: str) -> Json:
    """By task the share of the error that is gone, of MAE or of what balanced accuracy lacks; and the mean of each."""
    gains: dict[str, dict[str, float]] = {"mae": {}, "balanced_accuracy": {}}
    for task, found in tasks.items():
        if before in found and after in found:
            errors = [found[side]["mean"] for side in (before, after)]
            if found["score"] == "balanced_accuracy":
                errors = [1 - error for error in errors]
            gains[found["score"]][task] = round(1 - errors[1] / errors[0], 4)
    means = {f"mean_{name}": round(float(np.mean(list(found.values()))), 4) for name, found in gains.items() if found}
    return {"from": before, "to": after, **gains, **means}


def to_markdown(found: Json) -> str:
    """The table, one line a task; scores of fewer tests than the task has are marked."""
    lines = [f"| task | score | {' | '.join(VARIANTS)} | published |", f"|---|---|{'---|' * (len(VARIANTS) + 1)}"]
    for task, row in found["tasks"].items():
        cells = [_cell(row[variant], row["tests"]) if variant in row else "" for variant in VARIANTS]
        lines.append(f"| {task} | {row['score']} | {' | '.join(cells)} | {row['published']} |")
    notes = [f"- {name}: {text}" for name, text in VARIANTS.items()]
    for key in ("transfer", "alignment"):
        gain = found[key]
        means = ", ".join(f"{name} {value:.1%}" for name, value in gain.items() if name.startswith("mean_"))
        notes.append(f"- error gone from {gain['from']} to {gain['to']}: {means or 'not measured'}")
    return "\n".join([*lines, "", *notes]) + "\n"


def _cell(summary: Json, tests: int) -> str:
    partial = "" if summary["tests"] == tests else f" ({summary['tests']} of {tests})"
    return f"{summary['mean']:.4g}{partial}"
