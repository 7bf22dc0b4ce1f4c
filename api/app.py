"""The HTTP application: its routes, its errors, and the description that clients are made from."""

from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from sqlalchemy import Engine

from api.access import MayRead
from api.body_limit import BodyLimit
from api.openapi import TAGS, describe_app
from api.optimade.routes import router as optimade
from api.page.routes import add_page
from api.problems import answer_errors
from api.routes import (
    campaigns,
    candidates,
    documents,
    events,
    exports,
    health,
    metrics,
    models,
    points,
    tasks,
    tokens,
    uploads,
)
from api.service import Access, make_service

DESCRIPTION = "Screen chemical compositions: campaigns, their candidates, and predictions of single formulas."
LARGEST_BODY = 1 << 20  # bytes
DESCRIBED = "/openapi.json"
# In this order: a name stands before the ids beside it.
ROUTES = (
    exports, documents, uploads, campaigns, events, points, candidates, tasks, models, health, metrics, tokens,
)  # fmt: skip


def create_app(engine: Engine, access: Access | None = None) -> FastAPI:
    """The application on an open database; it computes nothing itself, and needs no model."""
    app = FastAPI(
        title="Sluice",
        description=DESCRIPTION,
        version=version("sluice"),
        openapi_tags=TAGS,
        openapi_url=None,  # the description stands behind the same tokens as all else
    )
    app.state.service = make_service(engine, access or Access())
    app.add_middleware(BodyLimit, most=LARGEST_BODY, paths={uploads.PATH: uploads.LARGEST_FILE})
    answer_errors(app)
    for module in ROUTES:
        app.include_router(module.router)
    app.include_router(optimade)
    add_page(app)
    _add_description(app)
    return app


def _add_description(app: FastAPI) -> None:
    describe_app(app)

    @app.get(DESCRIBED, include_in_schema=False)
    def description(caller: MayRead) -> JSONResponse:
        return JSONResponse(app.openapi())

    @app.get("/docs", include_in_schema=False)
    def documentation(request: Request, caller: MayRead) -> HTMLResponse:
        return get_swagger_ui_html(openapi_url=DESCRIBED, title=app.title)
