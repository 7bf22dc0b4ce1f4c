"""A predictor of a user's own property: a table learned, measured, and kept as a checkpoint."""

from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

import torch

from workers.cards import Card, Json, load_checkpoint, save_checkpoint
from workers.learned_cards import KIND, name_array
from workers.predictors.tuning.checkpoint import start_from, to_arrays, to_config
from workers.predictors.tuning.learner import Learner, Start, Trials
from workers.predictors.tuning.learning import OnPart, learn
from workers.predictors.tuning.specialist import Recipe
from workers.predictors.tuning.trials import certainty_of, score, shape_of
from workers.predictors.tuning.user_table import UserTable

TRUNK = "composition-predictor"
TILE = 64
_HELD_OUT = (
    "measured on rows that each member had not learned from; they told it when to stop, and all of them how to weigh "
    "networks and trees, so that new compositions may fare a little worse; the trunk that they start from has learned "
    "what the Materials Project and OQMD computed for many formulas, so that a table of such values scores too well"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a predictor is to be called, in which unit it tells, the seed of its draws, the command that asks for it."""

    name: str
    unit: str
    seed: int
    command: str


def load_start() -> Start:
    """What every table's learner starts from: the trunk of the shipped predictor; raises CheckpointError."""
    torch.set_num_threads(1)  # how many threads share a sum decides how it is rounded
    return start_from(*load_checkpoint(TRUNK))


def make(
    start: Start, table: UserTable, wanted: Wanted, recipe: Recipe, folder: Path, on_part: OnPart
) -> tuple[Card, Trials]:
    """Learn a table and write its checkpoint to a folder; also how its rows were told by members new to them."""
    began = monotonic()
    learner = learn(start, table.sheet, recipe, wanted.seed, on_part)
    assert learner.trials is not None
    fields: Json = {
        "name": wanted.name,
        "kind": KIND,
        "config": to_config(learner) | _reading(learner, table, wanted),
        "tile": TILE,
        "properties": (wanted.name,),
        "data": _data(table),
        "held_out": _HELD_OUT,
        "metrics": score(learner.trials, learner.classification),
        "seed": wanted.seed,
        "hardware": "CPU, 1 thread",
        "seconds": round(monotonic() - began, 1),
        "command": wanted.command,
        "notes": f"fine-tuned from {TRUNK}; {len(learner.networks)} networks and {len(learner.forests)} forests",
    }
    return save_checkpoint(folder, to_arrays(learner) | name_array(wanted.name), **fields), learner.trials


def _reading(learner: Learner, table: UserTable, wanted: Wanted) -> Json:
    """How what is told is to be read: its unit, and the shape of its errors or the classes with their certainty."""
    assert learner.trials is not None
    if not learner.classification:
        return {"unit": wanted.unit, "shape": shape_of(learner.trials).to_json()}
    return {"unit": "", "classes": list(table.classes), "certainty": asdict(certainty_of(learner.trials))}


def _data(table: UserTable) -> str:
    asked, size = table.asked, len(table.sheet)
    text = f"{asked.path.name}: {asked.target} by {asked.formula}, {table.rows} rows of {size} compositions"
    if table.repeated:
        how = "the class of most rows" if asked.classification else "the median"
        text += (
            f"; {table.repeated} compositions with several rows, {table.differing} of them different, merged to {how}"
        )
    if table.bad:
        text += f"; {table.bad} rows could not be read"
    if table.classes:
        text += f"; classes {' and '.join(table.classes)}, of which the second is told"
    return text
