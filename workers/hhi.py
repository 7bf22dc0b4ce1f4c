"""How concentrated the world's supply of a compound's elements is."""

from functools import cache

from pymatgen.analysis.hhi import HHIModel


@cache
def _model() -> HHIModel:
    return HHIModel()  # type: ignore[no-untyped-call]


def hhi(formula: str) -> float | None:
    """Herfindahl-Hirschman index of the elements' reserves, weighted by mass (Gaultois et al., Chem. Mater. 2013).

    None where it is not known for an element.
    """
    found = _model().get_hhi_reserve(formula)  # type: ignore[no-untyped-call]
    return None if found is None else float(found)
