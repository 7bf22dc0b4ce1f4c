"""Published structures on their way into what a grammar is trained on."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import ase.data
import numpy as np
import numpy.typing as npt

TOGETHER = 128  # structures that a process takes at a time
TOLD = 5000  # after so many a line says how far it is

Item = TypeVar("Item")
Encoded = TypeVar("Encoded")


def encoded_all(encode: Callable[[Item], Encoded], items: Sequence[Item], processes: int) -> list[Encoded]:
    """What a function makes of each structure, in order; it and the structures must be picklable."""
    found: list[Encoded] = []
    with ProcessPoolExecutor(processes) as pool:
        for done, made in enumerate(pool.map(encode, items, chunksize=TOGETHER)):
            if done % TOLD == 0:
                print(f"{done} of {len(items)} structures", flush=True)
            found.append(made)
    return found


def covalent_radii(elements: int) -> npt.NDArray[np.float32]:
    """Covalent radii in Å by atomic number (Cordero et al., Dalton Trans. 2008, as in ase): (elements,)."""
    return np.asarray(ase.data.covalent_radii[:elements], dtype=np.float32)
