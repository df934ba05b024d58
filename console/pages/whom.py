"""Whom a gate asks, as pages say it: the members of a group, or whoever has a role."""

from __future__ import annotations

from typing import Any

from approvals.models import Gate


def among(threshold: dict[str, Any]) -> str:
    """Behind a noun: "two people of the group payments", "one person with the role reviewer"."""
    if threshold["group"]:
        return f"of the group {threshold['group']}"
    return f"with the role {threshold['role']}"


def among_any(gate: Gate) -> str:
    """Behind a noun, for those whom any threshold of the gate asks."""
    return " or ".join(dict.fromkeys(among(one) for one in gate.thresholds))


def whom(gate: Gate) -> str:
    """By themselves: "the group payments", "anybody with the role reviewer"."""
    names = [
        f"the group {one['group']}" if one["group"] else f"anybody {among(one)}"
        for one in gate.thresholds
    ]
    word = " or " if gate.consent.get("mode") == "any" else " and "
    return word.join(dict.fromkeys(names)) or "nobody"
