"""JSON as RFC 7493 (I-JSON) wants it, within limits, or a sentence that says why not.

Python's reader is generous: it keeps the last of two equal names, reads NaN, and makes an
infinity of 1e999. Where a sum of money may be meant, two readers of the same bytes must
not come to two meanings.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from runs import limits

MAX_BYTES = 1_048_576
# An input may be as deep as the engine keeps it, and lies in the object of a body.
MAX_DEPTH = limits.MAX_DEPTH + 2
# Beyond this, a reader that keeps numbers as doubles sees another number (RFC 7493, 2.2).
MAX_INTEGER = 2**53 - 1


class BadJson(ValueError):
    """The bytes are refused; `pointer` names the place of a value that is."""

    def __init__(self, detail: str, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer


class TooLong(BadJson):
    """More than `MAX_BYTES`."""


def parse(raw: bytes) -> Any:
    """The one value that these bytes mean. Raises `BadJson` and `TooLong`."""
    if len(raw) > MAX_BYTES:
        raise TooLong(f"This is longer than {MAX_BYTES} bytes (MAX_BYTES).")
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError:
        raise BadJson("This is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise BadJson(f"This is not JSON: {error}.") from None
    except RecursionError:
        raise _too_deep() from None
    except BadJson:
        raise
    except ValueError:
        # Python refuses to read integers of thousands of digits.
        raise BadJson("This holds a number that is too large.") from None
    _check(value, "", 1)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise BadJson(f"One object has the name {_shown(name)!r} twice.")
        result[name] = value
    return result


def _constant(name: str) -> NoReturn:
    raise BadJson(f"The value {name} is not JSON.")


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
        raise BadJson("The number is too large.", pointer)
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise BadJson(f"An integer is from -{MAX_INTEGER} to {MAX_INTEGER}.", pointer)


def _check_text(text: str, pointer: str) -> None:
    if "\0" in text:
        raise BadJson("The text holds the character NUL.", pointer)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise BadJson("The text holds half of a surrogate pair.", pointer)


def _shown(name: str) -> str:
    """A name that a stranger wrote, as it may stand in an answer: short, and harmless."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name[:64])


def _too_deep() -> BadJson:
    return BadJson(f"This is nested deeper than {MAX_DEPTH} levels (MAX_DEPTH).")
