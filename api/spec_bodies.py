"""The spec of a campaign as the body of a request: JSON or TOML, checked as the command line checks it."""

import json
import tomllib
from collections.abc import Callable, Mapping
from re import compile as pattern
from typing import Any

from anyio.to_thread import run_sync
from fastapi import Request

from api.errors import InvalidRequest, UnknownType
from scheduler.errors import InvalidSpec
from scheduler.spec import CampaignSpec, FileSource, model_names, parse_spec

PLACE = "spec"
MODEL_NAME = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


async def spec_of(request: Request) -> CampaignSpec:
    """The spec in a request's body; raises InvalidSpec, UnknownType."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in FORMS:
        raise UnknownType(kind, " or ".join(FORMS))
    return await run_sync(_read, kind, await request.body())  # a long spec holds up nobody else


def _read(kind: str, body: bytes) -> CampaignSpec:
    name, read = FORMS[kind]
    try:
        data = read(body.decode())
    except (ValueError, RecursionError) as exc:
        reason = "nested too deeply" if isinstance(exc, RecursionError) else str(exc)
        raise InvalidSpec(f"{PLACE}: not {name}: {reason}") from exc
    if not isinstance(data, dict):
        raise InvalidSpec(f"{PLACE}: a table of keys and values is expected")
    return checked(parse_spec(data, PLACE))


def checked(spec: CampaignSpec) -> CampaignSpec:
    """The spec, unless it names files of the server; raises InvalidSpec."""
    if isinstance(spec.source, FileSource):
        raise InvalidSpec(f"{PLACE}: source.kind = 'file': a server reads no files; 'list' or 'enumerate' is expected")
    for name in model_names(spec).values():
        check_model_name(name)
    return spec


def check_model_name(name: str) -> None:
    """Raise InvalidRequest for a model that is given by its folder: clients name models, not places."""
    if MODEL_NAME.fullmatch(name) is None:
        raise InvalidRequest(f"model {name!r}: a name is expected; /v1/models lists all")


def _json(text: str) -> Any:
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


FORMS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "application/json": ("JSON", _json),
    "application/toml": ("TOML", tomllib.loads),
}
