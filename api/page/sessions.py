"""Signing in: a browser keeps a token in a cookie that no script can read, and that goes to this server alone."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from api.access import by_secret, check_origin, cookie_name
from api.service import Serving

router = APIRouter(prefix="/page", include_in_schema=False)


class SignIn(BaseModel):
    """Who wants to come in."""

    token: Annotated[str, Field(min_length=1, max_length=200)]


@router.post("/session", status_code=204)
def sign_in(wanted: SignIn, request: Request, service: Serving) -> Response:
    """Keep a valid token; it is looked up again with every request, so that a revoked one ends at once."""
    check_origin(request)
    secret = wanted.token.strip()
    by_secret(service, secret, request)
    response = Response(status_code=204)
    secure = request.url.scheme == "https"
    response.set_cookie(cookie_name(request), secret, httponly=True, samesite="strict", secure=secure)
    return response


@router.delete("/session", status_code=204)
def sign_out(request: Request) -> Response:
    """Forget the token."""
    check_origin(request)
    response = Response(status_code=204)
    response.delete_cookie(cookie_name(request), httponly=True, samesite="strict")
    return response
