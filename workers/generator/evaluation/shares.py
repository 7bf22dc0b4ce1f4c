"""Shares as an evaluation tells them."""


def percent(part: float, whole: float = 1.0) -> float:
    """Part of the whole in per cent, to one decimal."""
    return round(100 * part / whole, 1)
