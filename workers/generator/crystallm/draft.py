"""A CIF while it is written: what its formula and symmetry say is given, what they leave open is asked for."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from math import prod

import numpy as np
from pymatgen.core import Lattice

from workers.crystals import ANGLES as LIMITS
from workers.crystals import LENGTHS as EDGES
from workers.crystals import VOLUME_PER_ATOM
from workers.errors import CrystalError
from workers.generator.crystallm.cif import ANGLES, LENGTHS, NAME, Counts, Site, contents, header, ordered
from workers.generator.crystallm.orbits import PARTS, Floats, Forms, Mask, Neighbours, forms, orbit
from workers.generator.crystallm.parsing import FLATTEST, group_numbers
from workers.generator.crystallm.slots import Slot, Writing, decimals, given, mask, number, one_of
from workers.generator.crystallm.tokens import MARK, VOCABULARY, decode, encode, numbers, space_groups
from workers.generator.sampler import DeadEnd, Head, Ints, Room
from workers.generator.symmetry.placement import choices, holds, places
from workers.spacegroups import UNIT, centring, crystal_system, positions

THIN = 2.0  # Å: an edge that is still to come is longer
SLANT = 0.3  # of the volume of a box with the same edges: no cell that is looked for has less
FEW = 64  # values of a coordinate that are each looked at before one is begun
STRIDE = 200  # steps of a free coordinate that are looked at as one,
MIDDLES = range(STRIDE // 2, PARTS, STRIDE)  # by those in their middles
READ = 32  # slots of a prompt come in whole numbers of these
Steps = tuple[int, ...]  # coordinates of a point, as far as they are written

_SAME, _RIGHT, _HEXAGONAL = "a", "90.0000", "120.0000"
_FIXED: dict[str, tuple[str | None, ...]] = {
    "triclinic": (None,) * 6,
    "monoclinic": (None, None, None, _RIGHT, None, _RIGHT),
    "orthorhombic": (None, None, None, _RIGHT, _RIGHT, _RIGHT),
    "tetragonal": (None, _SAME, None, _RIGHT, _RIGHT, _RIGHT),
    "hexagonal": (None, _SAME, None, _RIGHT, _RIGHT, _HEXAGONAL),
    "cubic": (None, _SAME, _SAME, _RIGHT, _RIGHT, _RIGHT),
}  # what is left open of a, b, c, α, β, γ in the standard settings, rhombohedral groups on hexagonal axes


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written: atoms in the conventional cell, its primitive cells, a space group or none, and how long.

    `tokens` counts those after the prompt; a draft that needs more is cut. `context` is what the network can read.
    """

    counts: Counts
    centring: int
    space_group: int | None
    tokens: int
    context: int


class CifDraft:
    """One CIF being written; `fill` raises DeadEnd where it cannot be finished."""

    steps = None  # how many there will be shows at the end

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.opening = opening(plan.counts)
        self.tokens = list(self.opening)
        self.group = 0
        self.lattice: Floats = np.eye(3)
        self.neighbours = Neighbours(self.lattice)
        self.owed = {element: count // plan.centring for element, count in ordered(plan.counts)}
        self.used: frozenset[int] = frozenset()  # positions that hold no second orbit
        self.cut = False
        self.writing = self._write()
        self.slot: Slot | None = next(self.writing)

    @property
    def done(self) -> bool:
        return self.slot is None or self.cut

    @property
    def room(self) -> Room:
        slots = -(-len(self.opening) // READ) * READ
        return slots, slots + self.plan.tokens + 1  # a row that is done still has a slot to look at

    @property
    def text(self) -> str:
        return decode(self.tokens) + "\n"

    def prompt(self, conditioned: bool) -> list[list[int]]:
        return [[token, place] for place, token in enumerate(self.opening[:-1])]

    def row(self) -> list[int]:
        return [self.tokens[-1], len(self.tokens) - 1]

    def head(self) -> Head:
        return 0, VOCABULARY

    def allowed(self) -> Mask:
        assert self.slot is not None
        return self.slot.allowed

    def accepts(self, candidates: Ints) -> Mask:
        assert self.slot is not None
        check = self.slot.check
        if check is None:
            return np.ones(len(candidates), dtype=np.bool_)
        return np.array([check(int(value)) for value in candidates])

    def reach(self) -> None:
        """A token is a name."""

    def fill(self, value: int, offset: float) -> None:
        self.tokens.append(value)
        try:
            self.slot = self.writing.send(value)
        except StopIteration:
            self.slot = None
            return
        if len(self.tokens) > self.plan.context:
            raise DeadEnd(f"longer than the {self.plan.context} tokens that the model reads")
        self.cut = len(self.tokens) - len(self.opening) >= self.plan.tokens

    def _write(self) -> Writing:
        yield from self._write_group()
        parameters = yield from self._write_cell()
        self.lattice = _vectors(parameters, sum(self.plan.counts.values()))
        self.neighbours = Neighbours(self.lattice)
        volume = abs(float(np.linalg.det(self.lattice)))
        yield from given(contents(self.group, self.plan.counts, volume))
        index = 0
        while any(self.owed.values()):
            yield from self._write_site(index)
            index += 1

    def _write_group(self) -> Writing:
        names, wanted = _centred(self.plan.centring), self.plan.space_group
        allowed = mask(token for token, group in names.items() if wanted is None or wanted == group)
        self.group = names[(yield Slot(allowed, lambda token: holds(names[token], tuple(self.owed.values()))))]
        yield from given("\n")

    def _write_cell(self) -> Generator[Slot, int, list[float]]:
        found: list[float] = []
        fixed = _FIXED[crystal_system(self.group)]
        for index, key in enumerate(LENGTHS + ANGLES):
            yield from given(f"{key} ")
            own = fixed[index]
            if own is None:
                alike = 1 + fixed.count(_SAME) * (not index)
                low, high = self._angles(found) if key in ANGLES else self._edges(found, alike)
                found.append(float((yield from number(low, high))))
            else:
                found.append(found[0] if own == _SAME else float(own))
                yield from given(f"{found[-1]:.4f}")
            yield from given("\n")
        return found

    def _edges(self, found: Sequence[float], alike: int) -> tuple[float, float]:
        """The shortest and longest edge (Å) with which the cell can still hold the atoms; raises DeadEnd for none."""
        atoms, rest = sum(self.plan.counts.values()), 3 - len(found) - alike
        least, most = (per_atom * atoms / prod(found) for per_atom in VOLUME_PER_ATOM)
        low = max(EDGES[0], least ** (1 / alike)) if rest == 0 else EDGES[0]
        high = min(EDGES[1], (most / SLANT / THIN**rest) ** (1 / alike))
        if low >= high:
            raise DeadEnd(f"no cell of {atoms} atoms has the edges {', '.join(f'{edge:g}' for edge in found)} Å")
        return low, high

    def _angles(self, found: Sequence[float]) -> tuple[float, float]:
        """The least and greatest angle (degrees); of the third one those that leave a cell with room for the atoms."""
        if len(found) < len(LENGTHS + ANGLES) - 1:
            return LIMITS
        atoms, box = sum(self.plan.counts.values()), prod(found[:3])
        first, second = np.cos(np.radians(found[3:]))
        most = (1 - first**2) * (1 - second**2)  # of the squared volume of such a cell with edges of 1
        spread = most - max(FLATTEST, (VOLUME_PER_ATOM[0] * atoms / box) ** 2)
        if spread <= 0:
            raise DeadEnd(f"no third angle beside {found[3]:g} and {found[4]:g}° leaves {atoms} atoms room")
        middle, reach = first * second, spread**0.5
        low, high = np.degrees(np.arccos(np.clip([middle + reach, middle - reach], -1, 1)))
        return max(float(low), LIMITS[0]), min(float(high), LIMITS[1])

    def _write_site(self, index: int) -> Writing:
        """An orbit's line: no element that is not owed, no position that leaves atoms without a place."""
        places_of = {element: found for element in self.owed if (found := self._positions(element))}
        if not places_of:
            raise DeadEnd("the atoms left have no place")
        element = decode([(yield Slot(mask(numbers()[name] for name in places_of)))])
        sizes = places_of[element]
        yield from given(f" {element}{index} ")
        size = int((yield from one_of([f"{size} " for size in sizes])))
        points = yield from self._write_point(element, size, sizes[size])
        yield from given(" 1\n")
        self.neighbours.place(element, points)
        self.owed[element] -= size // self.plan.centring
        self.used |= {index for index in sizes[size] if _is_at(self.group, index, points)}

    def _positions(self, element: str) -> dict[int, list[int]]:
        """Wyckoff positions for the element's next orbit, by the atoms that they add to the conventional cell."""
        table, found = places(self.group), dict[int, list[int]]()
        others = [count for name, count in self.owed.items() if name != element]
        for index, (size, single) in enumerate(zip(table.sizes, table.single, strict=True)):
            if size > self.owed[element] or (single and index in self.used):
                continue
            left = tuple(sorted(count for count in [*others, self.owed[element] - size] if count))
            if not left or choices(self.group, left, 0, self.used | {index} if single else self.used):
                found.setdefault(positions(self.group)[index].multiplicity, []).append(index)
        return found

    def _write_point(self, element: str, size: int, chosen: list[int]) -> Generator[Slot, int, Floats]:
        """Three coordinates that lie on one of the chosen positions and keep clear of all atoms; the orbit's atoms."""

        def fits(point: Steps) -> bool:
            points = self._orbit(element, size, point)
            return points is not None and self.neighbours.fits(element, points)

        left = forms(self.group, chosen)
        point: Steps = ()
        for axis in range(3):
            yield from given(" 0." if axis else "0.")
            open_ = _leading(left, point, fits)
            if not open_.any():
                raise DeadEnd(f"no place for {element} keeps clear of the other atoms")
            ends = partial(_closes, fits, point) if axis == 2 else None
            point = (*point, (yield from decimals(open_, ends)))
            left = left.holding(point)
        points = self._orbit(element, size, point)
        assert points is not None
        return points

    def _orbit(self, element: str, size: int, steps: Steps) -> Floats | None:
        x, y, z = (step / PARTS for step in steps)
        try:
            return orbit(self.group, Site(element, size, (x, y, z)), self.lattice)
        except CrystalError:
            return None


def _closes(fits: Callable[[Steps], bool], before: Steps, last: int) -> bool:
    return fits((*before, last))


def _leading(left: Forms, before: Steps, fits: Callable[[Steps], bool]) -> Mask:
    """Steps of the next coordinate that can still lead to a point that fits; those of a free x or y all count."""
    steps = left.allowed(before)
    values = np.flatnonzero(steps)
    if len(values) > FEW:
        return steps & _roomy(before, fits) if len(before) == 2 else steps
    found = np.zeros(PARTS, dtype=np.bool_)
    found[values] = [_leads(left, (*before, value), fits) for value in values.tolist()]
    return found


def _leads(left: Forms, point: Steps, fits: Callable[[Steps], bool]) -> bool:
    """Whether a point that begins so can fit."""
    if len(point) == 3:
        return fits(point)
    left = left.holding(point)
    values = np.flatnonzero(left.allowed(point))
    if len(values) > FEW:
        return len(point) == 1 or any(fits((*point, middle)) for middle in MIDDLES)
    return any(_leads(left, (*point, value), fits) for value in values.tolist())


def _roomy(before: Steps, fits: Callable[[Steps], bool]) -> Mask:
    """Where a free third coordinate fits, as far as the middles of strides tell."""
    found = np.array([fits((*before, middle)) for middle in MIDDLES])
    return np.repeat(found | np.roll(found, 1) | np.roll(found, -1), STRIDE)


def opening(counts: Counts) -> list[int]:
    """The prompt for a conventional cell of so many atoms: all that its formula says, up to the space group."""
    return encode(f"{header(counts)}{NAME} ")


@cache
def _centred(cells: int) -> dict[int, int]:
    """Space groups with this many primitive cells in the conventional one, by their token."""
    names = {numbers()[name + MARK]: group_numbers()[name] for name in space_groups()}
    return {token: group for token, group in names.items() if len(centring(group)) == cells}


def _vectors(parameters: Sequence[float], atoms: int) -> Floats:
    """Lattice vectors as rows (Å); raises DeadEnd where there is no such cell or it cannot hold the atoms."""
    a, b, c, alpha, beta, gamma = parameters
    cosines = np.cos(np.radians([alpha, beta, gamma]))
    if min(a, b, c) < EDGES[0] or 1 - (cosines**2).sum() + 2 * cosines.prod() < FLATTEST:
        raise DeadEnd(f"no cell has the edges {a:g}, {b:g}, {c:g} Å and the angles {alpha:g}, {beta:g}, {gamma:g}°")
    lattice = Lattice.from_parameters(a, b, c, alpha, beta, gamma)
    if not VOLUME_PER_ATOM[0] <= lattice.volume / atoms <= VOLUME_PER_ATOM[1]:
        raise DeadEnd(f"volume {lattice.volume / atoms:.1f} Å³ an atom")
    return np.asarray(lattice.matrix, dtype=np.float64)


def _is_at(group: int, index: int, points: Floats) -> bool:
    """Whether an orbit is that of a position without a free coordinate."""
    position = positions(group)[index]
    apart = points[0] - position.base / UNIT
    return position.free == 0 and bool((np.abs(apart - np.rint(apart)) < 1 / PARTS).all(axis=1).any())
