"""The generators that are shipped: the grammar that each writes in, and the name of its checkpoint and kind."""

GENERATORS = {
    "symmetry": "crystal-generator",
    "materium": "materium-generator",
    "crystallm": "crystallm-generator",
}
KINDS = tuple(GENERATORS.values())
PROPOSERS = (GENERATORS["symmetry"], GENERATORS["materium"])  # they need no formula


def full_name(name: str) -> str:
    """The name of a checkpoint, from that or from its grammar."""
    return GENERATORS.get(name, name)
