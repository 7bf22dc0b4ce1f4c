"""A reduced formula while it is proposed, element by element, heaviest first."""

from collections.abc import Mapping

import numpy as np
from pymatgen.core import Element

from workers.compositions import INERT
from workers.generator.sampler import DeadEnd, Head, Ints, Mask, Room
from workers.generator.symmetry.draft import PROMPTS
from workers.generator.symmetry.grammar import Formula, Slot, condition_rows, row
from workers.generator.symmetry.placement import holds
from workers.generator.symmetry.vocabulary import ELEMENTS, HEADS, MAX_ATOMS, Role
from workers.oxidation import can_be_neutral
from workers.symbols import SYMBOLS

MOST_ELEMENTS = 8
ROOM = PROMPTS[0], PROMPTS[0] + 2 * MOST_ELEMENTS + 2  # all conditions, and a token to begin and to end with


class Proposal:
    """A formula of at most so many atoms; asked to be neutral it raises DeadEnd where no common states make it so."""

    steps = None  # how many there will be shows at the end

    def __init__(self, wanted: Mapping[str, float], space_group: int | None, most: int, neutral: bool) -> None:
        self.wanted, self.space_group, self.most, self.neutral = wanted, space_group, most, neutral
        self.formula: Formula = []
        self.number = 0
        self.slot: Slot | None = Slot(Role.ELEMENT)
        self.before, self.value = Slot(Role.PROPOSE), 0

    @property
    def done(self) -> bool:
        return self.slot is None

    @property
    def room(self) -> Room:
        return ROOM

    def prompt(self, conditioned: bool) -> list[list[int]]:
        return condition_rows(self.wanted, self.space_group) if conditioned else []

    def row(self) -> list[int]:
        assert self.slot is not None
        return row(self.before, self.value, 0, self.slot)

    def head(self) -> Head:
        assert self.slot is not None
        return HEADS[self.slot.role]

    def reach(self) -> int | None:
        return None

    def allowed(self) -> Mask | None:
        assert self.slot is not None
        left = self.most - sum(amount for _, amount in self.formula)
        if self.slot.role == Role.AMOUNT:
            mask = np.zeros(MAX_ATOMS + 1, dtype=np.bool_)
            mask[1 : left + 1] = True
            return mask
        mask = np.zeros(ELEMENTS, dtype=np.bool_)
        mask[0] = bool(self.formula)
        if left and len(self.formula) < MOST_ELEMENTS:
            lightest = self.formula[-1][0] if self.formula else ELEMENTS
            mask[[number for number in _NUMBERS if number < lightest]] = True
        return mask

    def accepts(self, candidates: Ints) -> Mask:
        return np.ones(len(candidates), dtype=np.bool_)

    def fill(self, value: int, offset: float) -> None:
        assert self.slot is not None
        self.before, self.value = self.slot, value
        if self.slot.role == Role.AMOUNT:
            self.formula.append((self.number, value))
            self.slot = Slot(Role.ELEMENT)
        elif value:
            self.number = value
            self.slot = Slot(Role.AMOUNT, value)
        else:
            self._close()

    def _close(self) -> None:
        self.slot = None
        if int(np.gcd.reduce([amount for _, amount in self.formula])) > 1:
            raise DeadEnd("the proposed formula is not reduced")
        symbols = tuple(str(Element.from_Z(number).symbol) for number, _ in self.formula)
        amounts = tuple(amount for _, amount in self.formula)
        if self.neutral and not can_be_neutral(symbols, amounts):
            raise DeadEnd(f"no common oxidation states of {' '.join(symbols)} are neutral together")
        if self.space_group is not None and not _fits(self.space_group, amounts, self.most):
            raise DeadEnd(f"space group {self.space_group} has no places for {' '.join(symbols)} in these amounts")


def _fits(group: int, amounts: tuple[int, ...], most: int) -> bool:
    return any(holds(group, tuple(n * amount for amount in amounts)) for n in range(1, most // sum(amounts) + 1))


_NUMBERS = tuple(sorted(int(Element(symbol).Z) for symbol in SYMBOLS if symbol not in INERT))
