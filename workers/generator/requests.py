"""What a crystal is asked for, and what comes back."""

from dataclasses import dataclass, replace
from functools import lru_cache

from pymatgen.core import Element

from workers.compositions import Composition, parse_formula
from workers.crystals import Crystal
from workers.errors import UserError
from workers.generator.conditions import check
from workers.oxidation import can_be_neutral
from workers.spacegroups import GROUPS

Wanted = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class CrystalRequest:
    """One sample: a formula or none, its own seed, what is fixed of the answer and what it is steered towards."""

    formula: str | None  # None: the model proposes one
    seed: int
    units: int | None = None  # formula units in the primitive cell
    space_group: int | None = None
    temperature: float = 0.7
    max_atoms: int = 20
    wanted: Wanted = ()  # conditions by name, in the units of `conditions.CONDITIONS`
    guidance: float = 1.0  # 1: as conditioned; more: further away from what is made without conditions
    top_p: float = 1.0  # share of probability that is drawn from
    charge_balanced: bool = False  # only formulas whose common oxidation states can add up to zero


@dataclass(frozen=True, slots=True)
class Generated:
    """A crystal, or why there is none; log-probabilities in nats are the model's own, at temperature 1.

    `log_likelihood` is that of the tokens drawn; `log_mass` that of all crystals whose numbers are close to this one's,
    which does not punish a crystal for having many free parameters.
    """

    crystal: Crystal | None
    log_likelihood: float
    flaw: str | None = None
    log_mass: float = -float("inf")
    refused: bool = False  # another seed would change nothing


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request cannot be met."""

    reason: str

    def answer(self) -> Generated:
        """What comes back."""
        return replace(unmade(self.reason), refused=True)


def unmade(reason: str) -> Generated:
    """No crystal, and why."""
    return Generated(None, -float("inf"), reason)


def improper(request: CrystalRequest) -> Refusal | None:
    """Why no generator can meet a request, whatever its formula."""
    group = request.space_group
    if request.max_atoms < 1:
        return Refusal(f"at most {request.max_atoms} atoms are asked for; a cell holds at least 1")
    if request.units is not None and request.units < 1:
        return Refusal(f"{request.units} formula units are asked for; at least 1 is expected")
    if request.units is not None and request.units > request.max_atoms:
        return Refusal(f"{request.units} formula units do not fit into {request.max_atoms} atoms")
    if group is not None and not 1 <= group <= GROUPS:
        return Refusal(f"space group {group} does not exist; 1 to {GROUPS} do")
    try:
        for name, value in request.wanted:
            check(name, value)
    except UserError as exc:
        return Refusal(str(exc))
    return None


def asked_formula(request: CrystalRequest, most_atoms: int, most_elements: int = 8) -> list[tuple[int, int]] | Refusal:
    """(atomic number, atoms in a formula unit), heaviest first, or why a generator cannot take the request."""
    if refusal := improper(request):
        return refusal
    try:
        composition = _composition(str(request.formula))
    except UserError as exc:
        return Refusal(str(exc))
    pairs = zip(composition.elements, composition.amounts, strict=True)
    formula = sorted(((int(Element(symbol).Z), round(amount)) for symbol, amount in pairs), reverse=True)
    reason = _refused(composition, request, min(request.max_atoms, most_atoms), most_elements)
    return formula if reason is None else Refusal(reason)


@lru_cache(maxsize=4096)
def _composition(formula: str) -> Composition:
    return parse_formula(formula)  # which many samples ask for


def _refused(composition: Composition, request: CrystalRequest, limit: int, most_elements: int) -> str | None:
    name, atoms = composition.formula, composition.atoms
    if not composition.integral:
        return f"{name} has fractional amounts; a crystal needs whole numbers of atoms"
    if atoms > limit:
        return f"{name} has {atoms:g} atoms a formula unit; at most {limit} are generated"
    if len(composition.elements) > most_elements:
        return f"{name} has {len(composition.elements)} elements; at most {most_elements} are generated"
    if request.charge_balanced and not can_be_neutral(composition.elements, tuple(map(round, composition.amounts))):
        return f"no common oxidation states of {' '.join(composition.elements)} are neutral together in {name}"
    return None
