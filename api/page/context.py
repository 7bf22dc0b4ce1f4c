"""What the page must know before it shows anything: who looks, which columns there are, where elements stand."""

from fastapi import APIRouter
from pydantic import BaseModel

from api.access import MayRead
from api.periodic_table import all_places, metals
from api.service import Reading
from scheduler.spec import PREDICTED
from storage.points import plottable
from storage.queries import user_properties
from storage.tokens import TokenRole
from workers.properties import REGISTRY, STD, column_names, structure_name, unit_of

router = APIRouter(prefix="/page", include_in_schema=False)


class Column(BaseModel):
    """A property of candidates: its value and, under the second name, its standard deviation."""

    name: str
    std: str
    structure: str | None  # the same property from the structure
    unit: str
    title: str


class Context(BaseModel):
    """What there is to look at, and what the one who looks may do."""

    owner: str
    may_run: bool
    columns: list[Column]
    axes: list[str]
    explained: tuple[str, ...]
    elements: dict[str, tuple[int, int]]  # row and column
    metals: list[str]


@router.get("/context")
def context(caller: MayRead, session: Reading) -> Context:
    """The columns of this database, and the caller's role."""
    own = user_properties(session)
    return Context(
        owner=caller.owner,
        may_run=caller.role.allows(TokenRole.RUN),
        columns=[_column(name) for name in (*column_names(), *own)],
        axes=list(plottable(own)),
        explained=PREDICTED,
        elements=all_places(),
        metals=metals(),
    )


def _column(name: str) -> Column:
    known = REGISTRY.get(name)
    structure = None if known is None else structure_name(name)
    return Column(name=name, std=name + STD, structure=structure, unit=unit_of(name), title=name.replace("_", " "))
