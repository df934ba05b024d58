"""A document as its author would write it: names first, a list of one without it, no defaults."""

from __future__ import annotations

from typing import Any

from approvals.rules import document as documents
from approvals.rules.conditions import CONDITIONS, SINGLE
from approvals.rules.outcomes import CONSENT, EXPIRES_AFTER_SECONDS, MODES, TIERS
from runs.limits import MAX_AMOUNT_MINOR

DEFAULTS = {
    "tier": TIERS[0],
    "mode": MODES[0],
    "expires_after_seconds": EXPIRES_AFTER_SECONDS,
    "remind_after_seconds": 0,
    "escalation": None,
    "cooling_off_seconds": 0,
    "dwell_seconds": 0,
}


def shortly(document: dict[str, Any]) -> dict[str, Any]:
    """The same policy, shorter: `normalise` makes the given document of it again.

    The document must be in its normal form. One that cannot be said shorter comes back as it is.
    """
    made: dict[str, Any] = {}
    if document["lists"]:
        made["lists"] = document["lists"]
    made["rules"] = [_rule(rule) for rule in document["rules"]]
    if document["freezes"]:
        made["freezes"] = document["freezes"]
    if "canaries" in document:
        made["canaries"] = document["canaries"]
    try:
        is_same = documents.normalise(made) == document
    except documents.InvalidPolicy:
        return document
    return made if is_same else document


def to_yaml(document: dict[str, Any]) -> str:
    """The document as an author would write it, in YAML that reads back to the same digest."""
    return documents.to_yaml(shortly(document))


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": rule["name"]}
    if rule["when"]:
        found = ((key, rule["when"][key]) for key in CONDITIONS if key in rule["when"])
        made["when"] = dict(_condition(key, value) for key, value in found)
    return made | {"then": _then(rule["then"])}


def _condition(key: str, value: Any) -> tuple[str, Any]:
    if key == "amounts":
        value = [_band(one) for one in value]
    if key in SINGLE and len(value) == 1:
        return SINGLE[key], value[0]
    return key, value


def _band(band: dict[str, Any]) -> dict[str, Any]:
    plain = {"above_minor": 0, "up_to_minor": MAX_AMOUNT_MINOR}
    said = {key: band[key] for key in plain if band[key] != plain[key]}
    return {"currency": band["currency"], **said}


def _then(then: dict[str, Any]) -> Any:
    if "block" in then:
        return {"block": then["block"]["reason"]}
    if "allow" in then:
        return then if then["allow"]["sample_percent"] else "allow"
    consent = then["consent"]
    each = [_threshold(one) for one in consent["thresholds"]]
    said = {
        key: consent[key] for key in CONSENT if key in DEFAULTS and consent[key] != DEFAULTS[key]
    }
    if len(each) == 1 and not {"name", "member_for_seconds"} & each[0].keys():
        return {"consent": each[0] | said}
    return {"consent": {"thresholds": each, **said}}


def _threshold(one: dict[str, Any]) -> dict[str, Any]:
    whom = "role" if one["group"] is None else "group"
    made = {} if one["name"] == one[whom] else {"name": one["name"]}
    made |= {whom: one[whom], "count": one["count"]}
    if one["member_for_seconds"]:
        made["member_for_seconds"] = one["member_for_seconds"]
    return made
