"""One form for a crystal among those that its cell's own symmetry and the choice of inversion centre allow."""

from itertools import product

import numpy as np
import numpy.typing as npt

from workers.generator.materium.tokens import COORDINATE

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ALIKE = 2e-3  # relative difference of two lengths, or of two cosines, that are taken for equal
_STEPS = np.array(list(product((-1, 0, 1), repeat=3)), dtype=np.int64)  # (27, 3)
_HALVES = np.array(list(product((0, COORDINATE.count // 2), repeat=3)), dtype=np.int64)  # (8, 3)


def own_turns(vectors: Floats) -> Ints:
    """Changes of basis of determinant 1 that leave the cell's edges and angles as they are: (n, 3, 3)."""
    metric = vectors @ vectors.T
    squares = np.einsum("ni,ij,nj->n", _STEPS, metric, _STEPS)
    rows = [_STEPS[np.abs(squares - metric[i, i]) < ALIKE * metric[i, i]] for i in range(3)]
    found = np.stack([x.reshape(-1, 3) for x in _product(rows)], axis=1)  # (n, 3, 3)
    found = found[np.rint(np.linalg.det(found)) == 1]
    lengths = np.sqrt(np.diag(metric))
    apart = np.abs(found @ metric @ found.transpose(0, 2, 1) - metric) / np.outer(lengths, lengths)
    return np.asarray(found[apart.max(axis=(1, 2)) < ALIKE])


def _product(rows: list[Ints]) -> list[Ints]:
    """All choices of one row from each list, as three columns of rows."""
    places = np.meshgrid(*(np.arange(len(x)) for x in rows), indexing="ij")
    return [x[place] for x, place in zip(rows, places, strict=True)]


def canonical(vectors: Floats, numbers: Ints, coords: Floats) -> tuple[Ints, Ints]:
    """Atoms, heaviest first and then by coordinates, of the form that comes first: (n,) and grid points (n, 3).

    All eight half-cell shifts of an origin at an inversion centre lead to another one.
    """
    bins = COORDINATE.count
    # a = T·b turns fractional coordinates by the inverse transpose
    inverse = np.rint(np.linalg.inv(own_turns(vectors))).astype(np.int64)
    points = COORDINATE.bins(coords)
    forms = (np.einsum("nj,tji->tni", points, inverse)[:, None] + _HALVES[None, :, None]) % bins  # (t, 8, n, 3)
    places = (forms[..., 0] * bins + forms[..., 1]) * bins + forms[..., 2]
    keys = (200 - numbers) * bins**3 + places.reshape(-1, len(numbers))
    keys.sort(axis=1)
    best = keys[np.lexsort(keys.T[::-1])[0]]
    rest = best % bins**3
    grid = np.stack([rest // bins**2, rest // bins % bins, rest % bins], axis=1)
    return 200 - best // bins**3, grid
