"""What every call has in common, put into the OpenAPI description."""

from __future__ import annotations

from typing import Any

from ninja.openapi.schema import OpenAPISchema

from console.api.idempotency import HEADER, MAX_KEY_LENGTH
from console.api.problems import MEDIA_TYPE
from console.api.shapes import ProblemShown

_REF = "#/components/schemas/{model}"
_KEY: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The same key with the same request is done once and answered twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
}


def complete(schema: OpenAPISchema) -> OpenAPISchema:
    """Add the problems to every call, and the idempotency key to every POST of a person."""
    shape = ProblemShown.model_json_schema(ref_template=_REF)
    definitions = shape.pop("$defs", {})
    schema["components"]["schemas"] |= {**definitions, "ProblemShown": shape}
    problem = {
        "description": "A refusal (RFC 9457)",
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="ProblemShown")}}},
    }
    for methods in schema["paths"].values():
        for method, call in methods.items():
            call["responses"]["default"] = problem
            if method == "post" and call.get("security"):
                call.setdefault("parameters", []).append(_KEY)
    return schema
