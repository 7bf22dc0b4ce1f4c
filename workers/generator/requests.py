"""What a crystal is asked for, and what comes back."""

from dataclasses import dataclass

from workers.crystals import Crystal


@dataclass(frozen=True, slots=True)
class CrystalRequest:
    """One sample: a formula, its own seed, and what is fixed of the answer."""

    formula: str
    seed: int
    units: int | None = None  # formula units in the primitive cell
    space_group: int | None = None
    temperature: float = 0.7
    max_atoms: int = 20


@dataclass(frozen=True, slots=True)
class Generated:
    """A crystal, or why there is none; the log-likelihood in nats is the model's own, at temperature 1."""

    crystal: Crystal | None
    log_likelihood: float
    flaw: str | None = None
