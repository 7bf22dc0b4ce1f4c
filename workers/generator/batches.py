"""Which sequences are read together."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def bundles(lengths: Ints, budget: int, loose: float, rng: np.random.Generator) -> Iterator[Ints]:
    """All sequences once, in bundles of about equal length that fill at most `budget` rows, in random order.

    By chance a bundle's lengths differ by `loose` rows more than they must. What is longer than the budget goes alone.
    """
    order = np.argsort(lengths + rng.uniform(0, loose, len(lengths)))
    starts: list[int] = []
    longest = 0
    for place, length in enumerate(lengths[order].tolist()):
        longest = max(longest, length)
        if not starts or (place + 1 - starts[-1]) * longest > budget:
            starts.append(place)
            longest = length
    ends = [*starts[1:], len(order)]
    for index in rng.permutation(len(starts)):
        yield order[starts[index] : ends[index]]
