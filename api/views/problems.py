"""Problems as RFC 9457 writes them."""

from pydantic import BaseModel, ConfigDict

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """Why a request was not answered."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:sluice:invalid-filter",
                    "title": "Invalid filter",
                    "status": 422,
                    "detail": "filter 'bandgap': not a column; elements, formula, verdict, … are",
                    "instance": "/v1/candidates",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
