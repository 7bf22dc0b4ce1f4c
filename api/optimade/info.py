"""What this OPTIMADE server is, what its entries bear, and where else to look."""

from importlib.metadata import version

from optimade import __api_version__
from optimade.models import BaseInfoAttributes, BaseInfoResource, EntryInfoProperty, EntryInfoResource
from optimade.models.baseinfo import AvailableApiVersion
from optimade.models.links import LinksResource, LinksResourceAttributes, LinkType
from pydantic import AnyUrl

ENTRIES = {
    "structures": "Candidates that have a crystal: the best one of each, and what is predicted of it.",
    "references": "Publications; there are none.",
}
ENDPOINTS = ("info", "links", *ENTRIES)
VERSIONS = f"version\n{__api_version__.partition('.')[0]}\n"


def base_info(base: str) -> BaseInfoResource:
    """The description of the server at a versioned base URL."""
    here = AvailableApiVersion(url=base, version=__api_version__)
    attributes = BaseInfoAttributes(
        api_version=__api_version__,
        available_api_versions=[here],
        formats=["json"],
        available_endpoints=list(ENDPOINTS),
        entry_types_by_format={"json": list(ENTRIES)},
        is_index=False,
    )
    return BaseInfoResource(id="/", type="info", attributes=attributes)


def entry_info(name: str, properties: dict[str, EntryInfoProperty]) -> EntryInfoResource:
    """The description of one kind of entry."""
    return EntryInfoResource(
        id=name,
        type="info",
        formats=["json"],
        description=ENTRIES[name],
        properties=properties,
        output_fields_by_format={"json": list(properties)},
    )


def own_link(root: str) -> LinksResource:
    """The link to this server itself, at its unversioned base URL."""
    attributes = LinksResourceAttributes(
        name="Sluice",
        description=f"Screened compositions, Sluice {version('sluice')}",
        base_url=AnyUrl(root),
        homepage=None,
        link_type=LinkType.ROOT,
    )
    return LinksResource(id="sluice", type="links", attributes=attributes)
