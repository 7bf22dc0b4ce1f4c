"""Parameters that several routes share."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Query

from storage import queries
from storage.queries import SORTABLE
from workers.filters import parse_filter

MOST = 1000  # candidates of a page
LARGEST = 2**63 - 1  # that a database takes for an integer

CampaignId = Annotated[int, Path(alias="id", ge=1, le=LARGEST, description="The campaign's id.", examples=[1])]
CandidateId = Annotated[int, Path(alias="id", ge=1, le=LARGEST, description="The candidate's id.", examples=[1])]
FilterText = Annotated[
    str | None,
    Query(
        alias="filter",
        max_length=20_000,
        description="An OPTIMADE filter; without one, all candidates.",
        examples=['band_gap >= 1.1 AND elements HAS "Te"'],
    ),
]
CampaignWanted = Annotated[int | None, Query(ge=1, le=LARGEST, description="Only candidates of this campaign.")]
Sort = Annotated[
    str,
    Query(
        description=f"A column, with a minus before it for the largest first; unknown values last. Columns: "
        f"{', '.join(SORTABLE)}, and properties that users added.",
        examples=["-score"],
        max_length=200,
    ),
]


@dataclass(frozen=True, slots=True)
class Paging:
    """How much of a list, from where on, and whether to count all of it."""

    limit: Annotated[int, Query(ge=1, le=MOST)] = 100
    cursor: Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")] = None
    counted: Annotated[bool, Query(alias="count", description="Also say how many there are in all.")] = False


def _query(filter: FilterText = None, campaign: CampaignWanted = None, sort: Sort = "-score") -> queries.Query:
    return queries.Query(None if filter is None else parse_filter(filter), campaign, sort)


Asked = Annotated[queries.Query, Depends(_query)]
