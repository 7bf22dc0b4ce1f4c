"""Requests whose bodies are larger than any that is expected, refused before they are read."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import plain_problem


class BodyLimit:
    """An application whose requests carry at most so many bytes, some paths' more than others'."""

    def __init__(self, app: ASGIApp, most: int, paths: Mapping[str, int]) -> None:
        self._app = app
        self._most = most
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it by what it says of its length; one that says nothing is counted."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        most = self._paths.get(scope["path"], self._most)
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdecimal() and int(length) > most:
            response = plain_problem(Request(scope, receive), _refusal(most))
            return await response(scope, receive, send)
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise _refusal(most)
            return message

        return await self._app(scope, counted, send)


def _refusal(most: int) -> HTTPException:
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {most} bytes are expected")
