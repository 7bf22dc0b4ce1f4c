"""Checkpoints that people bring and take away."""

from pathlib import Path
from shutil import copyfile, rmtree
from typing import cast

from api.lazy_group import load
from api.outputs import check_folder
from workers.cards import CARD, WEIGHTS, Card, find_checkpoint, load_checkpoint
from workers.errors import CheckpointError, UserError
from workers.generator.kinds import GENERATORS
from workers.generator.published import publisher

TAKEN = {name for pair in GENERATORS.items() for name in pair}


def export_checkpoint(name: str, out: Path) -> Card:
    """Copy a checkpoint, its weights checked against its card, to an empty folder; raises UserError."""
    try:
        folder = find_checkpoint(name)
        card, _ = load_checkpoint(folder)
    except CheckpointError as exc:
        raise UserError(str(exc)) from exc
    target = empty_folder(out)
    for file in (WEIGHTS, CARD):  # the card last: a folder without one is no checkpoint
        copyfile(folder / file, target / file)
    return card


def import_checkpoint(file: Path, name: str, out: Path) -> Card:
    """Read a checkpoint that CrystaLLM's or Materium's authors publish and write it as one of ours; raises UserError.

    Nothing is left behind where that fails.
    """
    if str(out) in TAKEN:
        raise UserError(f"--out {out}: a shipped model goes by this name; another is expected")
    existed = out.exists()
    folder = empty_folder(out)
    try:
        grammar = publisher(file)
        make = load(f"workers.generator.{grammar}.imported:import_checkpoint")
        return cast(Card, make(file, folder, name))
    except CheckpointError as exc:
        raise UserError(str(exc)) from exc
    finally:
        if not (folder / CARD).exists() and not existed:
            rmtree(folder)


def empty_folder(path: Path) -> Path:
    """The folder for a checkpoint, made where it is missing; raises UserError where it holds something."""
    folder = check_folder(path)
    if any(folder.iterdir()):
        raise UserError(f"--out {path}: not empty; a new folder is expected")
    return folder
