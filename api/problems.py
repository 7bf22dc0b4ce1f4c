"""Errors as HTTP answers them: every one a problem of RFC 9457, the user's mistake in the words of the command line."""

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from api import errors
from api.views.problems import MEDIA_TYPE, Problem
from scheduler.errors import CampaignStands, DiskFull
from storage.deadlines import TookTooLong
from storage.errors import DatabaseFull, DatabaseUnavailable, KeyTaken, NotFound
from workers.errors import SluiceError, UserError

ABOUT_BLANK = "about:blank"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
INTERNAL = "the server failed at this request; its log says why"
STATUS: Mapping[type[Exception], HTTPStatus] = {
    errors.NoToken: HTTPStatus.UNAUTHORIZED,
    errors.RoleTooLow: HTTPStatus.FORBIDDEN,
    errors.AlienSite: HTTPStatus.FORBIDDEN,
    errors.TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TooManyExports: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.UnknownType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    NotFound: HTTPStatus.NOT_FOUND,
    CampaignStands: HTTPStatus.CONFLICT,
    KeyTaken: HTTPStatus.CONFLICT,
    DatabaseUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    TookTooLong: HTTPStatus.SERVICE_UNAVAILABLE,
    DatabaseFull: HTTPStatus.INSUFFICIENT_STORAGE,
    DiskFull: HTTPStatus.INSUFFICIENT_STORAGE,
    UserError: HTTPStatus.UNPROCESSABLE_ENTITY,
}
log = logging.getLogger(__name__)


def answer_errors(app: FastAPI) -> None:
    """Let the app answer every error with a problem."""
    app.add_exception_handler(SluiceError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, plain_problem)
    app.add_exception_handler(DBAPIError, _database)
    app.add_exception_handler(Exception, _internal)


def _ours(request: Request, exc: Exception) -> JSONResponse:
    status = next((STATUS[kind] for kind in type(exc).__mro__ if kind in STATUS), None)
    if status is None:
        return _internal(request, exc)
    headers = {}
    if isinstance(exc, errors.NoToken):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(exc, errors.TooManyRequests | errors.TooManyExports):
        headers["Retry-After"] = str(exc.args[1])
    words = re.findall("[A-Z][a-z]*", type(exc).__name__)
    kind = "urn:sluice:" + "-".join(words).lower()
    return _problem(request, status, " ".join(str(exc).split()), (kind, " ".join(words).capitalize()), headers)


def _invalid(request: Request, exc: Exception) -> JSONResponse:
    error = cast(RequestValidationError, exc).errors()[0]
    place = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"])
    kind = ("urn:sluice:invalid-request", "Invalid request")
    return _problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, f"{place}: {message[:1].lower()}{message[1:]}", kind)


def plain_problem(request: Request, exc: Exception) -> JSONResponse:
    """The problem that says no more than an HTTPException."""
    error = cast(HTTPException, exc)
    status = HTTPStatus(error.status_code)
    detail = error.detail if error.detail != status.phrase else status.description or status.phrase
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))  # the framework names those of the first route alone
    return _problem(request, status, f"{request.method} {request.url.path}: {detail}", headers=headers)


def _methods(request: Request) -> list[str]:
    """The methods that a path takes."""
    scope = {key: request.scope[key] for key in ("type", "path", "root_path", "headers", "query_string")}
    routes = request.app.routes
    return [
        method for method in METHODS
        if any(route.matches({**scope, "method": method})[0] == Match.FULL for route in routes)
    ]  # fmt: skip


def _database(request: Request, exc: Exception) -> JSONResponse:
    log.error("%s %s: %s", request.method, request.url.path, cast(DBAPIError, exc).orig)
    return _problem(request, HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer; the server's log says why")


def _internal(request: Request, exc: Exception) -> JSONResponse:
    log.error("%s %s: %r", request.method, request.url.path, exc)  # the server below adds the traceback
    return _problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, INTERNAL)


def _problem(
    request: Request,
    status: HTTPStatus,
    detail: str,
    kind: tuple[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    name, title = kind or (ABOUT_BLANK, status.phrase)
    problem = Problem(type=name, title=title, status=status, detail=detail, instance=request.url.path)
    return JSONResponse(problem.model_dump(), status, headers, MEDIA_TYPE)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for its description; those of every route included."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    named = sorted({401, 403, 422, 429, *statuses})
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in named}
