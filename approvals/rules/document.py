"""A tenant's policy as a document: its normal form, its texts and its digest.

`normalise` fills in every default and names every fault with its place. What comes out is a
JSON value with a canonical form (RFC 8785), so that a policy has one digest, however its author
wrote it down.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

from approvals import limits
from approvals.rules import text as texts
from approvals.rules.conditions import when
from approvals.rules.faults import Faults, Form, InvalidPolicy, Place
from approvals.rules.outcomes import then
from runs import canonical

__all__ = ["InvalidPolicy", "digest", "from_text", "normalise", "to_json", "to_yaml"]

VERSION = 1
TAG = b"placet/policy/v1\0"
SCOPES = ("everything", "tool", "workflow", "payee")


def normalise(data: Any) -> dict[str, Any]:
    """The document in its normal form. Raises `InvalidPolicy` with every fault that it has.

    A document in its normal form comes out as it went in.
    """
    faults = Faults()
    form = Form(faults, (), data, ("v", "rules", "lists", "freezes", "canaries"))
    form.integer("v", VERSION, VERSION, default=VERSION)
    lists = _lists(form)
    places = form.items("rules", 0, limits.MAX_RULES)
    made: dict[str, Any] = {
        "v": VERSION,
        "rules": [_rule(faults, place, one, lists) for place, one in places],
        "lists": lists,
        "freezes": _freezes(form),
        **_canaries(form),
    }
    _check_names(form, [rule["name"] for rule in made["rules"]])
    faults.check()
    size = len(canonical.encode(made))
    if size > limits.MAX_POLICY_BYTES:
        faults.add((), f"This has {size} bytes; at most {limits.MAX_POLICY_BYTES} are kept.")
    faults.check()
    return made


def from_text(text: str) -> dict[str, Any]:
    """The normal form of what stands there in YAML or JSON. Raises `InvalidPolicy`."""
    return normalise(texts.read(text))


def to_yaml(document: dict[str, Any]) -> str:
    """The document as YAML that `from_text` reads back to the same digest."""
    return texts.write_yaml(document)


def to_json(document: dict[str, Any]) -> str:
    """The document as JSON that `from_text` reads back to the same digest."""
    return texts.write_json(document)


def digest(document: dict[str, Any]) -> bytes:
    """SHA-256 over a domain tag and the canonical bytes of a document in its normal form."""
    return hashlib.sha256(TAG + canonical.encode(document)).digest()


def _lists(form: Form) -> dict[str, list[str]]:
    value = form.get("lists", {})
    names = [name for name in value if isinstance(name, str)] if isinstance(value, dict) else []
    given = Form(form.faults, form.place("lists"), value, names)
    if len(names) > limits.MAX_LISTS:
        form.fault("lists", f"A policy has at most {limits.MAX_LISTS} lists.")
        return {}
    most, each = limits.MAX_LIST_ENTRIES, limits.MAX_LIST_ENTRY
    made = {}
    for name in names:
        place = given.place(name)
        plain = form.faults.text(name, place, limits.MAX_POLICY_NAME)
        if plain in made:
            form.faults.add(place, f"Two lists are called {plain!r}.")
        made[plain] = form.faults.texts(given.get(name), place, most=most, each=each)
    return made


def _rule(faults: Faults, at: Place, value: Any, lists: Collection[str]) -> dict[str, Any]:
    form = Form(faults, at, value, ("name", "when", "then"))
    given = form.get("when", {})
    made = {
        "name": form.text("name"),
        "when": when(faults, form.place("when"), given, lists),
        "then": {},
    }
    if "then" in form:
        made["then"] = then(faults, form.place("then"), form.get("then"))
    elif isinstance(value, dict):
        form.fault("then", "This is missing: a rule says consent, allow or block.")
    return made


def _check_names(form: Form, names: list[str]) -> None:
    """A rule is told of by its name."""
    for no, name in enumerate(names):
        if name and name in names[:no]:
            form.faults.add(("rules", no, "name"), f"Two rules are called {name!r}.")


def _canaries(form: Form) -> dict[str, dict[str, int]]:
    """Left out where there are none, so that a policy that never named them keeps its digest."""
    if "canaries" not in form:
        return {}
    given = Form(form.faults, form.place("canaries"), form.get("canaries"), ("per_week",))
    per_week = given.integer("per_week", 0, limits.MAX_CANARIES_PER_WEEK)
    return {"canaries": {"per_week": per_week}} if per_week else {}


def _freezes(form: Form) -> list[dict[str, Any]]:
    made = []
    for place, value in form.items("freezes", 0, limits.MAX_FREEZES, default=[]):
        given = Form(form.faults, place, value, ("scope", "denials", "within_seconds"))
        made.append(
            {
                "scope": given.choice("scope", SCOPES),
                "denials": given.integer("denials", 1, limits.MAX_FREEZE_DENIALS),
                "within_seconds": given.integer("within_seconds", 1, limits.MAX_WINDOW_SECONDS),
            }
        )
    return made
