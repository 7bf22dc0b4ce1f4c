"""Models by the kind that their card names, loaded where they are used and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from workers.cards import Card, find_checkpoint, load_checkpoint, read_card
from workers.errors import CheckpointError

# Named, not imported: whoever asks for a card or starts an actor must not load torch.
CLASSES = {
    "composition-predictor": ("workers.composition_models", "CompositionModel"),
    "crystal-generator": ("workers.generator.symmetry.generator", "CrystalGenerator"),
    "materium-generator": ("workers.generator.materium.generator", "MateriumGenerator"),
    "crystallm-generator": ("workers.generator.crystallm.generator", "CrystaLLMGenerator"),
    "learned-table": ("workers.learned_models", "LearnedModel"),
    "structure-predictor": ("workers.structure_models", "StructureModel"),
}


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a model does not take an item."""

    reason: str


def find_card(name: str) -> Card:
    """The card of a model by name or folder, its weights left alone; raises CheckpointError."""
    return read_card(find_checkpoint(name))


def load_model(name: str, device: str) -> object:
    """The model of a checkpoint, for use by one thread; raises CheckpointError."""
    kind = find_card(name).kind
    if kind not in CLASSES:
        raise CheckpointError(name, f"kind {kind!r}; {', '.join(CLASSES)} are known")
    module, model = CLASSES[kind]
    # How many threads share a sum decides how it is rounded.
    import_module("torch").set_num_threads(1)
    make = getattr(import_module(module), model)
    try:
        return make(*load_checkpoint(name), device)
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError, RuntimeError) as exc:
        reason = f"{type(exc).__name__}: {exc}".splitlines()[0]
        raise CheckpointError(name, f"no {kind} can be made of it ({reason})") from exc


def accepted(items: Sequence[str], refusals: Sequence[str | None]) -> list[str]:
    """The items that a model does not refuse."""
    return [item for item, refusal in zip(items, refusals, strict=True) if refusal is None]
