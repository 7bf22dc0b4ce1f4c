"""The page that people look at: files that the browser runs on /v1, so that it sees what any program sees.

There is no interface toolkit on the server: what one person has open is kept by their browser, any replica of the
server answers, and nothing but data crosses the wire. Preact draws the views and 3Dmol.js the crystals; both lie in
`vendored/` with their licences, so that a cluster without internet shows them.
"""

import re
from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

from api.page import context, sessions, specs

FOLDER = Path(__file__).parent
PARTS = ("scripts", "styles", "vendored")
FRESH = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}  # kept, but asked for anew: a 304
router = APIRouter(include_in_schema=False)


class _Files(StaticFiles):
    """The page's own files, which change with the server's version."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(FRESH)
        return response


@router.get("/")
def shell() -> HTMLResponse:
    """The frame of all views; it tells nothing, so that it needs no token."""
    text, policy = _shell()
    safe = {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"}
    return HTMLResponse(text, headers=FRESH | safe)


def add_page(app: FastAPI) -> None:
    """Let the app show the page at its root."""
    for module in (sessions, context, specs):
        app.include_router(module.router)
    app.include_router(router)
    for part in PARTS:
        app.mount(f"/page/{part}", _Files(directory=FOLDER / part))


@lru_cache(maxsize=1)
def _shell() -> tuple[str, str]:
    """The frame, and the policy by which it runs its own scripts alone."""
    text = (FOLDER / "index.html").read_text(encoding="utf-8")
    inline = re.findall(r"<script[^>]*>(.+?)</script>", text, re.DOTALL)
    hashes = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in inline)
    policy = (
        f"default-src 'none'; script-src 'self' {hashes}; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text, policy
