"""The description of the HTTP application, as OpenAPI has it."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from api.views.problems import Problem
from scheduler.spec import CampaignSpec

TAGS = [
    {"name": "campaigns", "description": "Screenings: created from a spec, watched, paused, resumed, cancelled."},
    {"name": "candidates", "description": "What survived: queried with OPTIMADE filters, shown, exported."},
    {"name": "formulas", "description": "Predictions, structures and explanations of a few formulas."},
    {"name": "models", "description": "The models and their cards."},
    {"name": "tokens", "description": "Who may do what."},
    {"name": "health", "description": "Whether all is well."},
]
UNUSED = ("HTTPValidationError", "ValidationError")  # what FastAPI would answer, were its errors not problems


def describe_app(app: FastAPI) -> None:
    """Let the app describe itself with the models that its routes name by reference."""
    app.openapi = _description(app)  # type: ignore[method-assign]


def _description(app: FastAPI) -> Callable[[], dict[str, Any]]:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            described = get_openapi(
                title=app.title, version=app.version, description=app.description, tags=app.openapi_tags,
                routes=app.routes,
            )  # fmt: skip
            schemas = described["components"]["schemas"]
            for name in UNUSED:
                schemas.pop(name, None)
            schemas.update(_referred())
            app.openapi_schema = described
        return app.openapi_schema

    return openapi


def _referred() -> dict[str, Any]:
    wanted = [(CampaignSpec, "validation"), (Problem, "serialization")]
    _, schema = models_json_schema(wanted, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    return dict(schema["$defs"])
