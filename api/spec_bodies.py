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
from scheduler.spec import CampaignSpec, FormulaFile, model_names, parse_spec

PLACE = "spec"
MODEL_NAME = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


async def spec_of(request: Request) -> CampaignSpec:
    """The spec in a request's body; raises InvalidSpec, UnknownType."""
    return await run_sync(_read, *await _body(request))  # a long spec holds up nobody else


async def tables_of(request: Request) -> dict[str, Any]:
    """What a request's body says, whether it is a spec or not yet; raises InvalidSpec, UnknownType."""
    return await run_sync(read_tables, *await _body(request))


async def _body(request: Request) -> tuple[str, bytes]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in FORMS:
        raise UnknownType(kind, " or ".join(FORMS))
    return kind, await request.body()


def _read(kind: str, body: bytes) -> CampaignSpec:
    return checked(parse_spec(read_tables(kind, body), PLACE))


def read_tables(kind: str, body: bytes) -> dict[str, Any]:
    """What a body of a kind in FORMS says; raises InvalidSpec."""
    name, read = FORMS[kind]
    try:
        data = read(body.decode())
    except (ValueError, RecursionError) as exc:
        reason = "nested too deeply" if isinstance(exc, RecursionError) else str(exc)
        raise InvalidSpec(f"{PLACE}: not {name}: {reason}") from exc
    if not isinstance(data, dict):
        raise InvalidSpec(f"{PLACE}: a table of keys and values is expected")
    return data


def checked(spec: CampaignSpec) -> CampaignSpec:
    """The spec, unless it names files of the server; raises InvalidSpec."""
    if isinstance(spec.source, FormulaFile):
        what = f"{PLACE}: source.path = {spec.source.path!r}: a server reads no files"
        raise InvalidSpec(f"{what}; 'list', 'enumerate' or 'generate' is expected")
    check_model_names(spec)
    return spec


def check_model_names(spec: CampaignSpec) -> None:
    """Raise InvalidRequest for a spec that gives a model by its folder."""
    for name in model_names(spec).values():
        check_model_name(name)


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
