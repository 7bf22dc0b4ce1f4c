"""Checkpoints as other projects publish them: whose a file is, told by the names that it holds, with nothing run."""

from pathlib import Path
from zipfile import BadZipFile, ZipFile
from zlib import error as ZlibError

from workers.errors import CheckpointError

# The name of each network's table of tokens.
MARKS = {b"transformer.wte.weight": "crystallm", b"tok_embeddings.weight": "materium"}
LARGEST = 1 << 26  # bytes of names: those of real checkpoints take a hundredth of it
EXPECTED = "CrystaLLM's ckpt.pt or Materium's .pt is expected"


def publisher(path: Path) -> str:
    """The grammar that a published checkpoint was made for; raises CheckpointError."""
    names = _names(path)
    for mark, grammar in MARKS.items():
        if mark in names:
            return grammar
    raise CheckpointError(path, f"weights of neither; {EXPECTED}")


def _names(path: Path) -> bytes:
    """What PyTorch keeps beside the numbers: a pickle, searched as text and never opened as one."""
    try:
        with ZipFile(path) as archive:
            entry = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
            if entry is None:
                raise CheckpointError(path, f"an archive without weights; {EXPECTED}")
            with archive.open(entry) as file:
                return file.read(LARGEST)
    except OSError as exc:
        raise CheckpointError(path, f"cannot be read: {exc.strerror}") from exc
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, ZlibError) as exc:
        raise CheckpointError(path, f"no PyTorch file, or a damaged one; {EXPECTED}") from exc
