"""How the calls read their bodies."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from ninja.parser import Parser

from console import strictjson
from console.api.problems import FieldError, Problem


def check_content_type(request: HttpRequest) -> None:
    charset = (request.content_params or {}).get("charset", "utf-8").lower()
    if request.content_type not in ("", "application/json") or charset != "utf-8":
        raise Problem(415, "unsupported-media-type", "The body must be application/json in UTF-8.")


def read_json(request: HttpRequest) -> Any:
    """The body as a JSON value. Raises `Problem` 400, 413 or 415."""
    check_content_type(request)
    try:
        return strictjson.parse(request.body)
    except (strictjson.TooLong, RequestDataTooBig):
        raise too_large() from None
    except strictjson.BadJson as error:
        faults = [] if error.pointer is None else [FieldError(**vars(error))]
        raise Problem(400, "malformed-body", error.detail, errors=faults) from None


class StrictParser(Parser):
    """Ninja's way to a body: only a JSON object will do."""

    def parse_body(self, request: HttpRequest) -> Any:
        value = read_json(request)
        if not isinstance(value, dict):
            raise Problem(400, "malformed-body", "The body must be a JSON object.")
        return value


def too_large() -> Problem:
    limit = f"{strictjson.MAX_BYTES} bytes (MAX_BYTES)"
    return Problem(413, "too-large", f"The body is longer than {limit}.")
