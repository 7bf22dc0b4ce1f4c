"""The routes of /optimade: structures, references, info, links and versions."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from api.access import Credentials, allowed, identified, is_loopback
from api.cursors import decoded, encoded
from api.optimade import info, listings, properties
from api.optimade.entries import structure_entry
from api.optimade.listings import Fields, Listing
from api.optimade.responses import BASE, ROOT, OptimadeRoute, base_url, respond
from api.service import PATIENCE, Reading, Serving
from storage.deadlines import deadline
from storage.entries import count_entries, read_entries, read_entry
from storage.errors import NotFound
from storage.queries import user_properties
from storage.tokens import TokenRole


def may_browse(request: Request, service: Serving, credentials: Credentials) -> None:
    """Anybody on this machine, and who has a token; raises NoToken, RoleTooLow, TooManyRequests."""
    # A page of another site may reach the loopback under a name of its own.
    local = request.client is not None and all(map(is_loopback, (request.client.host, request.url.hostname or "")))
    if credentials is not None or not local:
        allowed(TokenRole.READ)(identified(request, service, credentials))


router = APIRouter(prefix=ROOT, route_class=OptimadeRoute, dependencies=[Depends(may_browse)], include_in_schema=False)
versioned = APIRouter(route_class=OptimadeRoute, dependencies=[Depends(listings.read_format)])
Listed = Annotated[Listing, Depends(listings.read_listing)]
Wanted = Annotated[Fields, Depends(listings.read_fields)]


@router.get("/versions")
def versions() -> PlainTextResponse:
    """The major versions of the protocol that are served."""
    return PlainTextResponse(info.VERSIONS, media_type="text/csv; header=present")


@versioned.get("/structures")
def structures(request: Request, listing: Listed, fields: Wanted, session: Reading) -> JSONResponse:
    """A page of structures."""
    after = None if listing.cursor is None else decoded(listing.cursor, listing.key())
    with deadline(session, PATIENCE):
        page = read_entries(session, listing.query(), listing.size, after)
    cursor = page.next and encoded(page.next, listing.key())
    following = listings.next_url(request, base_url(request), cursor) if cursor else None
    return respond(
        request,
        [structure_entry(entry, fields.names) for entry in page.entries],
        {"next": following},
        more=following is not None,
        warnings=(*listing.warnings, *fields.warnings),
        data_returned=count_entries(session, listing.query()),
    )


@versioned.get("/structures/{entry_id:path}")
def structure(request: Request, entry_id: str, fields: Wanted, session: Reading) -> JSONResponse:
    """One structure."""
    entry = structure_entry(read_entry(session, entry_id), fields.names)
    return respond(request, entry, warnings=fields.warnings, data_returned=1)


@versioned.get("/references")
def references(request: Request, listing: Listed) -> JSONResponse:
    """The references, of which there are none."""
    listings.check_names(listing.tree, properties.is_reference)
    return respond(request, [], {"next": None}, warnings=listing.warnings, data_returned=0)


@versioned.get("/references/{entry_id:path}")
def reference(entry_id: str) -> JSONResponse:
    """One reference; raises NotFound."""
    raise NotFound("reference", entry_id, "there are none")


@versioned.get("/info")
def about(request: Request) -> JSONResponse:
    """What this server is."""
    return respond(request, info.base_info(base_url(request)))


@versioned.get("/info/structures")
def about_structures(request: Request, session: Reading) -> JSONResponse:
    """What a structure bears."""
    return respond(request, info.entry_info("structures", properties.structure_properties(user_properties(session))))


@versioned.get("/info/references")
def about_references(request: Request) -> JSONResponse:
    """What a reference would bear."""
    return respond(request, info.entry_info("references", properties.reference_properties()))


@versioned.get("/links")
def links(request: Request) -> JSONResponse:
    """Where else to look."""
    own = info.own_link(base_url(request).removesuffix(BASE) + ROOT)
    return respond(request, [own.model_dump(mode="json", exclude_unset=True)], data_returned=1)


router.include_router(versioned, prefix=BASE.removeprefix(ROOT))
