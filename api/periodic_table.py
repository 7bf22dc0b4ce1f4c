"""Where elements stand in the periodic table."""

from pymatgen.core import Element

Place = tuple[int, int]  # row, column

_LANTHANIDES, _ACTINIDES = 8, 9  # rows of their own below the table
_HEAVIEST = 103  # the last element that a formula may hold


def place_of(symbol: str) -> Place:
    """Row and column of an element in the table of 18 groups, lanthanides and actinides below it."""
    element = Element(symbol)
    if 57 <= element.Z <= 71:
        return _LANTHANIDES, element.Z - 54
    if 89 <= element.Z <= 103:
        return _ACTINIDES, element.Z - 86
    return element.row, element.group


def all_places() -> dict[str, Place]:
    """The place of every element that a formula may hold, lightest first."""
    return {symbol: place_of(symbol) for symbol in _symbols()}


def metals() -> list[str]:
    """The elements that bond to one another as metals do, lightest first."""
    return [symbol for symbol in _symbols() if Element(symbol).is_metal]


def _symbols() -> list[str]:
    return [Element.from_Z(number).symbol for number in range(1, _HEAVIEST + 1)]
