"""The card of a candidate: predictions, structures, explanations and failures."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from api.numbers import UNKNOWN, group_symbol, measured, plain
from api.reasons import bars
from api.tables import heading, plain_table
from storage.profiles import Profile
from workers.properties import STRUCTURE_PREFIX, structure_name

SHOWN = 10  # structures
NEW = "new"


def candidate_card(profile: Profile) -> Group:
    """The whole card, its parts apart by an empty line."""
    parts = [part for part in _parts(profile) if part is not None]
    return Group(*(line for part in parts for line in (part, Text())))


def _parts(profile: Profile) -> Iterator[RenderableType | None]:
    yield _title(profile)
    yield _predictions(profile)
    yield _structures(profile)
    yield from (bars(explanation) for explanation in profile.explanations)
    yield _failures(profile)


def _title(profile: Profile) -> Text:
    text = Text()
    text.append(profile.formula, style="bold")
    score = UNKNOWN if profile.score is None else plain(profile.score, 3)
    text.append(f"  candidate {profile.id} of campaign {profile.campaign_id}, score {score}\n")
    text.append(f"space group {group_symbol(profile.space_group)}, verdict {profile.verdict or UNKNOWN}")
    if profile.reason:
        text.append(f": {profile.reason}")
    for line in _compared(profile):
        text.append(f"\n{line}")
    return text


def _compared(profile: Profile) -> Iterator[str]:
    """What comparing with references says, as far as there were any."""
    known = {"composition": profile.known_composition, "structure": profile.known_structure}
    if any(known.values()):
        yield "; ".join(f"{what} {_known(name)}" for what, name in known.items() if name)
    if profile.hull is not None:
        source = profile.hull["references"]
        estimated = "an estimate, against the phases that the model knows"
        level = profile.hull.get("level")
        yield f"energy above hull from structure: {estimated if level is None else f'against {source} ({level})'}"


def _known(name: str) -> str:
    return name if name == NEW else f"known, {name}"


def _predictions(profile: Profile) -> Table:
    table = plain_table("property", "from composition", "from structure", right=("from composition", "from structure"))
    for name in dict.fromkeys(name.removeprefix(STRUCTURE_PREFIX) for name in profile.predictions):
        values = (profile.predictions.get(key, (None, None)) for key in (name, structure_name(name)))
        table.add_row(heading(name), *(measured(name, value, std) for value, std in values))
    return table


def _structures(profile: Profile) -> Table | None:
    if not profile.structures:
        return None
    numbers = ("rank", "atoms", "energy / eV/atom", "copies")
    table = plain_table("rank", "space group", "atoms", "energy / eV/atom", "relaxed", "copies", "flaw", right=numbers)
    for row in profile.structures[:SHOWN]:
        energy = UNKNOWN if row["energy_per_atom"] is None else plain(row["energy_per_atom"], 3)
        relaxed = "yes" if row["relaxed"] else "no"
        cells = (row["rank"] + 1, group_symbol(row["space_group"]), row["nsites"], energy, relaxed, row["copies"])
        table.add_row(*(str(cell) for cell in cells), row["flaw"] or "")
    if (more := len(profile.structures) - SHOWN) > 0:
        table.caption = f"and {more} more"
    return table


def _failures(profile: Profile) -> Table | None:
    if not profile.failures:
        return None
    table = plain_table("stage", "failure", "reason")
    for failure in profile.failures:
        table.add_row(failure.stage, failure.kind, failure.reason)
    return table
