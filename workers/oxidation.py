"""Common oxidation states of the elements."""

import json
from functools import cache
from pathlib import Path

_FILE = Path(__file__).parent / "data" / "oxidation_states.json"


@cache
def oxidation_states() -> dict[str, tuple[int, ...]]:
    """Common oxidation states by element symbol: those in more than 5 % of the element's ICSD reports (SMACT)."""
    table = json.loads(_FILE.read_text(encoding="utf-8"))["states"]
    return {symbol: tuple(states) for symbol, states in table.items()}
