"""Responses as OPTIMADE wraps them: data, what is said of them, and errors."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from optimade import __api_version__
from optimade.models import ErrorResponse, Implementation, OptimadeError, Provider, ResponseMeta, ResponseMetaQuery
from optimade.models import Warnings as Warning_
from starlette.exceptions import HTTPException

from api import problems
from api.optimade.listings import PageTooLarge
from workers.errors import SluiceError, UnansweredFilter, UserError
from workers.filter_fields import PREFIX

ROOT = "/optimade"
BASE = f"{ROOT}/v1"
MEDIA_TYPE = "application/vnd.api+json"
SCHEMA = "https://schemas.optimade.org/openapi/v1.2/optimade.json"
PROVIDER = Provider(
    name="Sluice",
    description="Compositions that were screened, their predicted properties and crystals",
    prefix=PREFIX.strip("_"),
)
STATUS: Mapping[type[Exception], HTTPStatus] = {
    **problems.STATUS,
    UnansweredFilter: HTTPStatus.NOT_IMPLEMENTED,
    PageTooLarge: HTTPStatus.FORBIDDEN,
    UserError: HTTPStatus.BAD_REQUEST,
}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class OptimadeRoute(APIRoute):
    """A route whose errors are OPTIMADE's, but for those of the server itself."""

    def get_route_handler(self) -> Handler:
        """The handler, which answers a user's mistake itself."""
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await answer(request)
            except SluiceError as exc:
                status = next((STATUS[kind] for kind in type(exc).__mro__ if kind in STATUS), None)
                if status is None:
                    raise
                return error(request, status, " ".join(str(exc).split()))
            except RequestValidationError as exc:
                first = exc.errors()[0]
                return error(request, HTTPStatus.BAD_REQUEST, f"{first['loc'][-1]}: {first['msg']}")
            except HTTPException as exc:
                return error(request, HTTPStatus(exc.status_code), exc.detail)

        return handle


def respond(request: Request, data: Any, links: dict[str, Any] | None = None, **meta: Any) -> JSONResponse:
    """The response that bears data, a model or JSON."""
    shown = data.model_dump(mode="json", exclude_unset=True) if hasattr(data, "model_dump") else data
    body = {"data": shown, "meta": _meta(request, **meta)} | ({} if links is None else {"links": links})
    return JSONResponse(body, media_type=MEDIA_TYPE)


def error(request: Request, status: HTTPStatus, detail: str) -> JSONResponse:
    """The response that says why there are no data."""
    said = OptimadeError(status=str(status.value), title=status.phrase, detail=detail)
    body = ErrorResponse(errors=[said], meta=ResponseMeta(**_meta(request)))
    content = body.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return JSONResponse(content, status.value, media_type=MEDIA_TYPE)


def base_url(request: Request) -> str:
    """The versioned base URL, as the client reached it."""
    return str(request.base_url).rstrip("/") + BASE


def _meta(request: Request, more: bool = False, warnings: Sequence[str] = (), **told: Any) -> dict[str, Any]:
    path = request.url.path.partition(BASE)[2] or "/"
    asked = f"{path}?{request.url.query}" if request.url.query else path
    if warnings:
        told["warnings"] = [Warning_(type="warning", detail=line) for line in warnings]
    meta = ResponseMeta(
        query=ResponseMetaQuery(representation=asked),
        api_version=__api_version__,
        more_data_available=more,
        schema=SCHEMA,
        time_stamp=datetime.now(UTC).replace(microsecond=0),
        provider=PROVIDER,
        implementation=Implementation(name="Sluice", version=version("sluice")),
        **told,
    )
    shown: dict[str, Any] = meta.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return shown
