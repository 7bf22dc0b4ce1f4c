"""Numbers as people read them."""

from math import isfinite

from pymatgen.symmetry.groups import sg_symbol_from_int_number

from workers.properties import unit_of

UNKNOWN = "–"


def measured(name: str, value: float | None, std: float | None) -> str:
    """A value and its standard deviation, to three decimals per atom and to two otherwise."""
    if value is None:
        return UNKNOWN
    digits = 3 if unit_of(name).endswith("/atom") else 2
    text = plain(value, digits)
    return text if std is None else f"{text} ± {plain(std, digits)}"


def plain(value: float, digits: int) -> str:
    """A number without a negative zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}" if isfinite(value) else str(value)


def counted(value: float) -> str:
    """A count with separators of thousands."""
    return f"{value:,.0f}"


def duration(seconds: float) -> str:
    """A time span, `42 s`, `3 min 05 s` or `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def group_symbol(number: int | None) -> str:
    """Symbol and number of a space group."""
    return UNKNOWN if number is None else f"{sg_symbol_from_int_number(number)} ({number})"
