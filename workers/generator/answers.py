"""What becomes of a sample once it is written."""

from collections.abc import Callable

from workers.crystals import Crystal, flaw
from workers.errors import CrystalError
from workers.generator.requests import Generated, unmade
from workers.generator.sampler import Sample


def answer(sample: Sample, crystal: Callable[[], Crystal]) -> Generated:
    """The crystal of a finished sample, or why it has none that is valid; reading it may raise CrystalError."""
    if sample.flaw is not None:
        return unmade(sample.flaw)
    try:
        made = crystal()
    except CrystalError as exc:
        return unmade(str(exc))
    if found := flaw(made):
        return unmade(found)
    return Generated(made, sample.log_likelihood, None, sample.log_mass)
