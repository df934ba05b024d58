"""Bodies: JSON as RFC 7493 (I-JSON) wants it, within limits, or a sentence that says why not.

Python's reader is generous: it keeps the last of two equal keys, reads NaN, and makes an
infinity of 1e999. Where a sum of money may be meant, two readers of the same bytes must
not come to two meanings.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from ninja.parser import Parser

from console.api.problems import FieldError, Problem
from runs import limits

MAX_BODY_BYTES = 1_048_576
# An input may be as deep as the engine keeps it, and lies in the object of the body.
MAX_DEPTH = limits.MAX_DEPTH + 2
# Beyond this, a reader that keeps numbers as doubles sees another number (RFC 7493, 2.2).
MAX_INTEGER = 2**53 - 1


def check_content_type(request: HttpRequest) -> None:
    charset = (request.content_params or {}).get("charset", "utf-8").lower()
    if request.content_type not in ("", "application/json") or charset != "utf-8":
        raise Problem(
            415, "unsupported-media-type", "The body must be application/json in UTF-8."
        )


def read_json(request: HttpRequest) -> Any:
    """The body as a JSON value. Raises `Problem` 400, 413 or 415."""
    check_content_type(request)
    raw = _body(request)
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
        )
    except UnicodeDecodeError:
        raise _malformed("The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        # Python refuses to read integers of thousands of digits.
        raise _malformed("The body holds a number that is too large.") from None
    _check(value, "", 1)
    return value


class StrictParser(Parser):
    """How the calls read their bodies."""

    def parse_body(self, request: HttpRequest) -> Any:
        value = read_json(request)
        if not isinstance(value, dict):
            raise _malformed("The body must be a JSON object.")
        return value


def _body(request: HttpRequest) -> bytes:
    try:
        body = request.body
    except RequestDataTooBig:
        raise _too_large() from None
    # Without a Content-Length, Django has not counted.
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    return body


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise _malformed(f"The body has the name {_shown(name)} twice in one object.")
        result[name] = value
    return result


def _constant(name: str) -> NoReturn:
    raise _malformed(f"The body holds {name}, which is not JSON.")


def _check(value: Any, pointer: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, dict):
        for name, inner in value.items():
            at = f"{pointer}/{_shown(name).replace('~', '~0').replace('/', '~1')}"
            _check_text(name, at)
            _check(inner, at, depth + 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check(inner, f"{pointer}/{index}", depth + 1)
    elif isinstance(value, str):
        _check_text(value, pointer)
    elif isinstance(value, int | float):
        _check_number(value, pointer)


def _check_number(value: float, pointer: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise _at(pointer, "The number is too large.")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise _at(pointer, f"An integer must be between -{MAX_INTEGER} and {MAX_INTEGER}.")


def _check_text(text: str, pointer: str) -> None:
    if "\0" in text:
        raise _at(pointer, "The text holds the character NUL.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _at(pointer, "The text holds half of a surrogate pair.")


def _shown(name: str) -> str:
    """A name out of the body as it may stand in an answer: short, and harmless."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name[:64])


def _at(pointer: str, detail: str) -> Problem:
    return Problem(
        400,
        "malformed-body",
        "The body holds a value that is not accepted.",
        errors=[FieldError(pointer=pointer, detail=detail)],
    )


def _malformed(detail: str) -> Problem:
    return Problem(400, "malformed-body", detail)


def _too_deep() -> Problem:
    return _malformed(f"The body is nested deeper than {MAX_DEPTH} levels (MAX_DEPTH).")


def _too_large() -> Problem:
    return Problem(
        413, "too-large", f"The body is larger than {MAX_BODY_BYTES} bytes (MAX_BODY_BYTES)."
    )
