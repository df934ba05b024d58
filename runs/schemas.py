"""Values against a JSON Schema, with a sentence and a place for each fault."""

from __future__ import annotations

import itertools
from typing import Any

import jsonschema

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
    found = itertools.islice(_Validator(schema).iter_errors(value), limits.MAX_FAULTS)
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
