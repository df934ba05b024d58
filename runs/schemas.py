"""Values against a JSON Schema, with a sentence and a place for each fault."""

from __future__ import annotations

import itertools
from typing import Any
from urllib.parse import unquote

import jsonschema
import referencing.jsonschema

from runs import limits
from runs.declare import pointer, shortened

# JSON Schema takes 5.0 for an integer; where a sum may be meant, only 5 is one.
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _checker, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


def faults(schema: dict[str, Any], value: Any) -> list[tuple[str, str]]:
    """What is wrong with a value, as (JSON pointer, sentence); at most `limits.MAX_FAULTS`."""
    # With a registry of its own it never fetches what a `$ref` names, from a net or a disk.
    validator = _Validator(schema, registry=referencing.jsonschema.EMPTY_REGISTRY)
    found = itertools.islice(validator.iter_errors(value), limits.MAX_FAULTS)
    return [
        (pointer(fault.absolute_path), f"{shortened(fault.message, limits.MAX_FAULT_CHARACTERS)}.")
        for fault in found
    ]


def check_schema(schema: dict[str, Any]) -> None:
    """Raises `ValueError` with a sentence when this is no JSON Schema."""
    try:
        _Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"The form is no JSON Schema: {error.message}.") from error


MAPS = {"properties", "$defs", "definitions", "dependentSchemas"}
"""Keywords whose names are an author's, with a schema for each."""
REFUSED = {
    "$id": "a base of its own",
    "$dynamicRef": "a dynamic reference",
    "pattern": "a pattern, whose search may never end",
    "patternProperties": "a pattern, whose search may never end",
    "unevaluatedItems": "what is not evaluated",
    "unevaluatedProperties": "what is not evaluated",
}


def check_form(schema: Any) -> None:
    """Raises `ValueError` with a sentence unless this is a JSON Schema that another process may
    check a value against: the agents that make forms do not say how long that takes.

    It refers to its own parts alone and never to itself, and has no more than
    `limits.MAX_FORM_PARTS` of them, counted as often as they are referred to.
    """
    check_schema(schema)
    if not isinstance(schema, dict) or not all(
        isinstance(one, dict) for one in schema.get("properties", {}).values()
    ):
        raise ValueError("A form is an object, and so is what it says of each property.")
    parts = 0
    left: list[tuple[Any, bool, tuple[str, ...]]] = [(schema, False, ())]
    while left:
        part, is_map, trail = left.pop()
        parts += 1
        if parts > limits.MAX_FORM_PARTS:
            raise ValueError(f"A form has at most {limits.MAX_FORM_PARTS} parts.")
        if isinstance(part, list):
            left += [(one, False, trail) for one in part if isinstance(one, dict | list)]
            continue
        for key, value in part.items():
            if not is_map and key in REFUSED:
                raise ValueError(f"A form does not take {REFUSED[key]}: {key}.")
            if not is_map and key == "$ref" and isinstance(value, str):
                if value in trail:
                    raise ValueError(f"A form does not refer to itself: {value[:100]}.")
                left.append((_part(schema, value), False, (*trail, value)))
            elif isinstance(value, dict | list):
                left.append((value, not is_map and key in MAPS, trail))


def _part(schema: dict[str, Any], ref: str) -> dict[str, Any]:
    """What a reference within a form names."""
    found: Any = schema
    if ref.startswith("#/"):
        for name in unquote(ref[2:]).split("/"):
            plain = name.replace("~1", "/").replace("~0", "~")
            found = found.get(plain) if isinstance(found, dict) else None
        if isinstance(found, dict):
            return found
    raise ValueError(f"A form refers to its own parts alone, and not to {ref[:100]}.")
