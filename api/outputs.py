"""Files that commands write for their user."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TextIO

from workers.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to that takes the place of the file when all is written, so that no half file stays."""
    if not path.absolute().parent.is_dir() or path.is_dir():
        raise UserError(f"--out {path}: a file in a folder that exists is expected")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def text_output(path: Path | None) -> Iterator[TextIO]:
    """Stdout, or the file that was asked for."""
    if path is None:
        yield sys.stdout
        return
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        yield file


def check_folder(path: Path) -> Path:
    """The folder for output files, made where it is missing; raises UserError where nothing can be written to it."""
    try:
        if path.exists() and not path.is_dir():
            raise UserError(f"--out {path}: a file; a folder is expected")
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):  # what permissions say, a disk may not do
            pass
    except OSError as exc:
        raise UserError(f"--out {path}: {exc.strerror}; a folder that can be written to is expected") from exc
    return path
