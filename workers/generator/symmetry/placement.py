"""Which Wyckoff positions may come next, so that every atom of the formula can still be placed."""

from dataclasses import dataclass
from functools import cache, lru_cache

from workers.generator.symmetry.grammar import primitive_multiplicity
from workers.generator.symmetry.vocabulary import MAX_ATOMS
from workers.spacegroups import positions

Counts = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Places:
    """A group's positions: atoms each adds to the primitive cell, and whether it can be used only once."""

    sizes: Counts
    single: tuple[bool, ...]  # positions without a free coordinate


@cache
def places(group: int) -> Places:
    table = positions(group)
    return Places(tuple(primitive_multiplicity(group, p) for p in table), tuple(p.free == 0 for p in table))


@cache
def _reachable(sizes: frozenset[int]) -> frozenset[int]:
    """Sums of these sizes, each used any number of times, up to the largest cell."""
    sums = {0}
    for total in range(1, MAX_ATOMS + 1):
        if any(total - size in sums for size in sizes):
            sums.add(total)
    return frozenset(sums)


@cache
def _repeatable(group: int, start: int) -> frozenset[int]:
    """Sums that positions from `start` on with a free coordinate can make."""
    table = places(group)
    found = (size for size, single in zip(table.sizes[start:], table.single[start:], strict=True) if not single)
    return _reachable(frozenset(size for size in found if size <= MAX_ATOMS))


@cache
def _classes(group: int) -> Counts:
    """Sizes of the positions that can be used only once, each size once."""
    table = places(group)
    pairs = zip(table.sizes, table.single, strict=True)
    return tuple(sorted({size for size, single in pairs if single and size <= MAX_ATOMS}))


def _left(group: int, start: int, used: frozenset[int]) -> Counts:
    """How many unused single positions from `start` on there are of each size."""
    table = places(group)
    free = [table.sizes[i] for i in range(start, len(table.sizes)) if table.single[i] and i not in used]
    return tuple(free.count(size) for size in _classes(group))


def _takings(sizes: Counts, left: Counts, owed: int, sums: frozenset[int]) -> list[Counts]:
    """Every way to take single positions so that repeatable ones make up the rest of what is owed."""
    if not sizes:
        return [()] if owed in sums else []
    found: list[Counts] = []
    for n in range(min(left[0], owed // sizes[0]) + 1):
        found.extend((n, *rest) for rest in _takings(sizes[1:], left[1:], owed - n * sizes[0], sums))
    return found


@lru_cache(maxsize=100_000)
def _completes(group: int, owed: Counts, left: Counts) -> bool:
    """Whether all elements can be placed, with this many single positions left of each size."""
    if not owed:
        return True
    takings = _takings(_classes(group), left, owed[0], _repeatable(group, 0))
    return any(_completes(group, owed[1:], _minus(left, taken)) for taken in takings)


def _minus(left: Counts, taken: Counts) -> Counts:
    return tuple(a - b for a, b in zip(left, taken, strict=True))


def holds(group: int, owed: Counts) -> bool:
    """Whether the group has positions for these numbers of atoms of the elements in its primitive cell."""
    return _completes(group, tuple(sorted(owed)), _left(group, 0, frozenset()))


@lru_cache(maxsize=100_000)
def choices(group: int, owed: Counts, start: int, used: frozenset[int]) -> Counts:
    """Positions that the next orbit of the first element owed may take, of those from `start` on.

    After each of them all that is owed can still be placed.
    """
    table = places(group)
    found = []
    for index in range(start, len(table.sizes)):
        fits = table.sizes[index] <= owed[0] and not (table.single[index] and index in used)
        if fits and _can_go_on(group, (owed[0] - table.sizes[index], *owed[1:]), index, used):
            found.append(index)
    return tuple(found)


def _can_go_on(group: int, owed: Counts, index: int, used: frozenset[int]) -> bool:
    table = places(group)
    if table.single[index]:
        used |= {index}
    here = _left(group, index, used)
    everywhere = _left(group, 0, used)
    takings = _takings(_classes(group), here, owed[0], _repeatable(group, index))
    rest = tuple(sorted(owed[1:]))
    return any(_completes(group, rest, _minus(everywhere, taken)) for taken in takings)
