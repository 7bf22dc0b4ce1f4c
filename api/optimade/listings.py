"""What a list of entries is asked for: a filter, an order, some fields, a page."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request

from api.errors import InvalidRequest
from api.optimade.properties import is_standard
from storage import queries
from workers.errors import InvalidFilter
from workers.filter_fields import PREFIX, our_name
from workers.filter_tree import Filter, is_foreign, properties_of
from workers.filters import parse_filter

PAGE, LARGEST_PAGE = 20, 500
KNOWN = (
    "filter", "response_format", "email_address", "response_fields", "sort", "page_limit", "page_cursor", "include",
    "api_hint",
)  # fmt: skip
OTHER_PAGES = ("page_offset", "page_number", "page_above", "page_below")

Known = Callable[[str], bool]


class PageTooLarge(InvalidRequest):
    """page_limit {0}: at most {1} is expected"""


@dataclass(frozen=True, slots=True)
class Fields:
    """The attributes that were asked for, all where none were named, and what must be said of them."""

    names: tuple[str, ...] | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a list: which one, how large, and what was asked of it."""

    text: str | None
    tree: Filter | None
    sort: str
    size: int
    cursor: str | None
    warnings: tuple[str, ...]

    def query(self) -> queries.Query:
        """The candidates that are asked for."""
        return queries.Query(self.tree, sort=self.sort)

    def key(self) -> tuple[object, ...]:
        """What a cursor of this list belongs to."""
        return ("optimade", self.text, self.sort)


def read_format(request: Request, response_format: str = "json") -> None:
    """Check what every request may bear; raises InvalidRequest."""
    if response_format != "json":
        raise InvalidRequest(f"response_format {response_format!r}: 'json' is expected")
    for name in request.query_params:
        if name in OTHER_PAGES:
            raise InvalidRequest(
                f"{name}: pages follow each other by links.next; page_cursor and page_limit are expected"
            )
        if name not in KNOWN and not is_foreign(name):
            raise InvalidRequest(f"{name}: no such parameter; {', '.join(KNOWN)} are expected")


def read_listing(
    text: Annotated[str | None, Query(alias="filter")] = None,
    sort: str = "id",
    page_limit: Annotated[int, Query(ge=1)] = PAGE,
    page_cursor: str | None = None,
) -> Listing:
    """The page that is asked for; raises InvalidFilter, InvalidRequest."""
    if page_limit > LARGEST_PAGE:
        raise PageTooLarge(page_limit, LARGEST_PAGE)
    tree = parse_filter(text) if text else None
    strange = sorted(name for name in properties_of(tree) if is_foreign(name)) if tree is not None else []
    warnings = tuple(f"{name} belongs to another database; here it is unknown" for name in strange)
    return Listing(text or None, tree, _sort(sort), page_limit, page_cursor, warnings)


def read_fields(response_fields: str | None = None) -> Fields:
    """The attributes that are asked for; raises InvalidRequest."""
    if response_fields is None:
        return Fields(None, ())
    names = tuple(dict.fromkeys(name for name in response_fields.split(",") if name))
    for name in names:
        if not is_standard(name) and not is_foreign(name):
            raise InvalidRequest(f"response_fields {name!r}: no such property; /info/structures lists them")
    strange = [name for name in names if is_foreign(name) and not name.startswith(PREFIX)]
    warnings = tuple(f"{name} belongs to another database; here it is unknown" for name in strange)
    return Fields(tuple(name for name in names if name not in ("id", "type")), warnings)


def check_names(tree: Filter | None, known: Known) -> None:
    """Raise InvalidFilter where a filter names what is neither known nor another database's."""
    for name in sorted(properties_of(tree)) if tree is not None else ():
        if not known(name) and not is_foreign(name):
            raise InvalidFilter(name, "no such property")


def next_url(request: Request, base: str, cursor: str) -> str:
    """The address of the page that follows."""
    path = request.url.path.rpartition("/")[2]
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "page_cursor"]
    return f"{base}/{path}?{urlencode([*kept, ('page_cursor', cursor)])}"


def _sort(text: str) -> str:
    if "," in text:
        raise InvalidRequest(f"sort {text!r}: one property is expected; equal values sort by formula")
    return "-" * text.startswith("-") + our_name(text.removeprefix("-"))
