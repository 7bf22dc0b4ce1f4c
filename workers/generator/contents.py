"""How many formula units fit into the cell that is asked for."""

from collections.abc import Sequence

from workers.generator.requests import CrystalRequest, Refusal
from workers.generator.symmetry.placement import holds


def fitting_units(request: CrystalRequest, amounts: Sequence[int], most_atoms: int) -> tuple[int, ...] | Refusal:
    """The numbers of formula units of these amounts that fit into what is asked for."""
    atoms = sum(amounts)
    limit = min(request.max_atoms, most_atoms)
    wanted = (request.units,) if request.units else tuple(range(1, limit // atoms + 1))
    small = tuple(n for n in wanted if n * atoms <= limit)
    group = request.space_group
    fitting = tuple(n for n in small if group is None or holds(group, tuple(n * amount for amount in amounts)))
    if fitting:
        return fitting
    units = f"{wanted[0]} to {wanted[-1]}" if len(wanted) > 1 else f"{wanted[0]}"
    where = f"space group {group}" if small else f"{limit} atoms"
    return Refusal(f"{units} formula units of {request.formula} do not fit into {where}")
