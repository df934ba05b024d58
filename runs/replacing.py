"""Steps that stand in the place of others: people have given a call other arguments.

The old step stays in the journal as it was, `cancelled`; the new one has a position, a key and,
where it moves money, a gate of its own.
"""

from __future__ import annotations

from typing import Any

from runs import canonical, limits, positions, schemas
from runs.declare import Tool
from runs.errors import InvalidArguments, NotCanonical
from runs.journal import Entry
from runs.models import Step

REPLACED = {"kind": "Replaced", "message": "Another step with other arguments takes its place."}


def is_replaced(entry: Entry) -> bool:
    """Whether another step stands, or is to stand, in the place of this one."""
    return entry.status == "cancelled" and (entry.error or {}).get("kind") == REPLACED["kind"]


def asked_for(step: Step, given: Any) -> bytes:
    """The canonical bytes of other arguments for a step, as a person gives them to the web.

    They are checked against the schema that its tool was registered with; a safe tool of the
    worker has none there, so its worker checks them. Raises `InvalidArguments`.
    """
    if positions.replacements(step.position) >= limits.MAX_REPLACEMENTS:
        raise InvalidArguments(
            f"This step has been given other arguments {limits.MAX_REPLACEMENTS} times already."
        )
    if not isinstance(given, dict):
        raise InvalidArguments("The other arguments are an object, by name.")
    if step.declaration is None:
        return canonical.encode(given)
    body = step.declaration.body
    defaults = {
        name: one["default"]
        for name, one in body["schema"].get("properties", {}).items()
        if "default" in one
    }
    whole = defaults | given
    found = schemas.faults(body["schema"], whole)
    if found:
        said = " ".join(f"{pointer or 'arguments'}: {text}" for pointer, text in found)
        raise InvalidArguments(f"{step.name}: {said}")
    if body["money"]:
        whole = canonical.strict(whole)
        named = (whole[body["money"][part]] for part in ("amount", "currency", "payee"))
        canonical.check_money(*named)
    encoded = canonical.encode(whole)
    if encoded == bytes(step.arguments):
        raise InvalidArguments("These are the arguments that the step has; choose to retry it.")
    return encoded


def checked(tool: Tool, said: bytes) -> bytes:
    """The same bytes, in the process that knows the tool. Raises `InvalidArguments` unless it
    takes exactly them, with nothing filled in that nobody has seen."""
    try:
        given = canonical.decode(said)
        encoded = tool.arguments(given) if isinstance(given, dict) else b""
    except NotCanonical as error:
        raise InvalidArguments(f"{tool.name}: {error}") from error
    if encoded != said:
        raise InvalidArguments(f"{tool.name} does not take exactly these arguments.")
    return said
