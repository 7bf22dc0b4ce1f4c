"""The Materials Project's HTTP API, a page of summaries at a time.

Its own client, mp-api, answers when the last page has come and cannot begin at a later one, so that a fetch of hours
could not go on after a break; this one speaks the same protocol.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import urlencode

from pymatgen.core import Structure
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError, MaxRetryError

from workers.errors import SluiceError, UserError
from workers.references import ACCEPTED, KNOWN, Flawed, Reference, chemical_system, make_reference, systems_within

FIELDS = ("material_id", "structure", "formation_energy_per_atom")
LIMIT = 500  # of a page; the server gives at most 1,000
BUSY = (429, 500, 502, 503, 504)
MOST_ELEMENTS = 8  # in one system, whose parts are all named in the address
KEYS = "a key from https://next-gen.materialsproject.org/api is expected"
PATIENT = Retry(
    total=6, backoff_factor=0.5, backoff_max=60, status_forcelist=BUSY, redirect=0, raise_on_status=False
)  # about half a minute


class WrongKey(UserError):
    """MP_API_KEY: the Materials Project at {0} refuses it (status {1}); {2}"""


class Unreachable(SluiceError):
    """the Materials Project at {0} does not answer: {1}"""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the API is, the key that opens it, and how often a request is tried."""

    url: str
    key: str
    retries: Retry = PATIENT


@dataclass(frozen=True, slots=True)
class Asked:
    """Which materials: those of some chemical systems and of all within them, or all; at most so far above the hull, in
    eV/atom."""

    systems: tuple[str, ...] = ()
    max_e_above_hull: float | None = None

    def parameters(self) -> dict[str, str]:
        """As the API names them."""
        named = {"chemsys": ",".join(sorted({part for system in self.systems for part in systems_within(system)}))}
        if self.max_e_above_hull is not None:
            named["energy_above_hull_max"] = repr(self.max_e_above_hull)
        return {name: text for name, text in named.items() if text}


@dataclass(frozen=True, slots=True)
class Page:
    """So many materials, and how many there are in all."""

    rows: tuple[Reference | Flawed, ...]
    count: int
    total: int


class Source(Protocol):
    """Where pages come from."""

    def version(self) -> str:
        """The release of the database."""

    def page(self, asked: Asked, skip: int) -> Page:
        """The materials after so many."""


class MaterialsProject:
    """A client of one site; raises WrongKey, Unreachable."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._pool = PoolManager(timeout=Timeout(connect=10, read=120))

    def version(self) -> str:
        """The release of the database behind the site."""
        return str(self._get("heartbeat", {}).get("db_version", "unknown"))

    def page(self, asked: Asked, skip: int) -> Page:
        """The materials after so many, by id."""
        paging = {"_fields": ",".join(FIELDS), "_limit": str(LIMIT), "_skip": str(skip), "_sort_fields": FIELDS[0]}
        answer = self._get("materials/summary/", asked.parameters() | {"deprecated": "false"} | paging)
        try:
            rows = cast(Sequence[Mapping[str, Any]], answer["data"])
            return Page(tuple(_row(row) for row in rows), len(rows), int(answer["meta"]["total_doc"]))
        except (LookupError, TypeError, ValueError) as exc:
            raise Unreachable(self._site.url, f"its answer has another form ({type(exc).__name__}: {exc})") from exc

    def _get(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        url = f"{self._site.url.rstrip('/')}/{path}" + (f"?{urlencode(parameters)}" if parameters else "")
        headers = {"X-API-KEY": self._site.key, "Accept": "application/json"}
        try:
            answer = self._pool.request("GET", url, headers=headers, retries=self._site.retries, redirect=False)
        except MaxRetryError as exc:
            raise Unreachable(self._site.url, _cause(exc)) from exc
        except HTTPError as exc:
            raise Unreachable(self._site.url, str(exc)) from exc
        if answer.status in (401, 403):
            raise WrongKey(self._site.url, answer.status, KEYS)
        if answer.status != 200:
            raise Unreachable(self._site.url, f"status {answer.status}: {answer.data[:200].decode(errors='replace')}")
        try:
            return cast(dict[str, Any], json.loads(answer.data))
        except ValueError as exc:
            raise Unreachable(self._site.url, f"its answer is not JSON ({exc})") from exc


def parse_system(text: str) -> str:
    """A chemical system such as Ba-Te in its one spelling; raises UserError."""
    symbols = [part.strip() for part in text.replace(",", "-").split("-")]
    for symbol in symbols:
        if symbol not in KNOWN:
            raise UserError(f"chemical system {text!r}: {symbol!r} is none of the elements {ACCEPTED}")
    if len(set(symbols)) > MOST_ELEMENTS:
        raise UserError(f"chemical system {text!r}: {len(set(symbols))} elements; at most {MOST_ELEMENTS} are accepted")
    return chemical_system(symbols)


def _row(row: Mapping[str, Any]) -> Reference | Flawed:
    source_id = str(row["material_id"])
    return make_reference(
        source_id, source_id, lambda: Structure.from_dict(row["structure"]), row.get("formation_energy_per_atom")
    )


def _cause(error: MaxRetryError) -> str:
    return " ".join(str(error.reason or error).split())[:300]
