"""The `then` of a rule in its normal form: consent, allow or block."""

from __future__ import annotations

from typing import Any

from approvals import limits
from approvals.rules.faults import Faults, Form, Place

KINDS = ("consent", "allow", "block")
TIERS = ("confirm", "passkey", "typed", "critical")
"""From the weakest to the strongest."""
MODES = ("all", "any")
EXPIRES_AFTER_SECONDS = 24 * 60 * 60
"""How long a gate stays open where its rule does not say."""
CONSENT = (
    "tier",
    "mode",
    "thresholds",
    "expires_after_seconds",
    "remind_after_seconds",
    "escalation",
    "cooling_off_seconds",
    "dwell_seconds",
)
SHORT = ("group", "role", "count")
"""One threshold, written without a list."""
DECIDES = "reviewer"
"""The role whose people decide; what another were asked, nobody could answer."""


def then(faults: Faults, at: Place, value: Any) -> dict[str, Any]:
    """The normal form. `allow`, and `block: why`, may be written short."""
    form = Form(faults, at, {"allow": {}} if value == "allow" else value, KINDS)
    kinds = [kind for kind in KINDS if kind in form]
    if len(kinds) != 1:
        if isinstance(value, dict):
            faults.add(at, "A rule has one outcome: consent, allow or block.")
        return {}
    (kind,) = kinds
    return {kind: _READ[kind](faults, form.place(kind), form.get(kind))}


def _allow(faults: Faults, at: Place, value: Any) -> dict[str, Any]:
    form = Form(faults, at, {} if value is None else value, ("sample_percent",))
    return {"sample_percent": form.integer("sample_percent", 0, 100, default=0)}


def _block(faults: Faults, at: Place, value: Any) -> dict[str, Any]:
    given = {"reason": value} if isinstance(value, str) else value
    form = Form(faults, at, given, ("reason",))
    return {"reason": form.text("reason", limits.MAX_REASON_CHARACTERS)}


def _consent(faults: Faults, at: Place, value: Any) -> dict[str, Any]:
    form = Form(faults, at, value, (*CONSENT, *SHORT))
    expires = form.integer(
        "expires_after_seconds", 1, limits.MAX_EXPIRY_SECONDS, default=EXPIRES_AFTER_SECONDS
    )
    made: dict[str, Any] = {
        "tier": form.choice("tier", TIERS, default=TIERS[0]),
        "mode": form.choice("mode", MODES, default=MODES[0]),
        "thresholds": _thresholds(form),
        "expires_after_seconds": expires,
        "remind_after_seconds": form.integer(
            "remind_after_seconds", 0, limits.MAX_EXPIRY_SECONDS, default=0
        ),
        "escalation": _escalation(form, expires),
        "cooling_off_seconds": form.integer(
            "cooling_off_seconds", 0, limits.MAX_COOLING_OFF_SECONDS, default=0
        ),
        "dwell_seconds": form.integer("dwell_seconds", 0, limits.MAX_DWELL_SECONDS, default=0),
    }
    if len(made["thresholds"]) == 1:
        made["mode"] = MODES[0]
    if made["remind_after_seconds"] >= expires:
        form.fault("remind_after_seconds", f"The gate expires after {expires} seconds already.")
    if made["dwell_seconds"] >= expires:
        form.fault("dwell_seconds", f"The gate expires after {expires} seconds already.")
    if made["tier"] == "critical":
        _check_critical(form, made)
    return made


def _check_critical(form: Form, made: dict[str, Any]) -> None:
    """What is critical needs two people on every way to it, and time to take it back."""
    counts = [threshold["count"] for threshold in made["thresholds"]]
    if made["mode"] == "all" and sum(counts) < 2:
        form.fault("thresholds", "The tier critical needs at least two people.")
    if made["mode"] == "any" and any(count < 2 for count in counts):
        form.fault("thresholds", "The tier critical needs at least two people in each threshold.")
    if made["cooling_off_seconds"] < 1:
        form.fault("cooling_off_seconds", "The tier critical needs a cooling-off of 1 or more.")


def _thresholds(form: Form) -> list[dict[str, Any]]:
    short = {key: form.value[key] for key in SHORT if key in form}
    if short and "thresholds" in form:
        form.fault("thresholds", "These stand beside a group, role or count; write one of them.")
    if short:
        return [_threshold(form.faults, form.at, short)]
    places = form.items("thresholds", 1, limits.MAX_THRESHOLDS)
    made = [_threshold(form.faults, place, one) for place, one in places]
    names = [one["name"] for one in made]
    for name in sorted({name for name in names if names.count(name) > 1}):
        form.fault("thresholds", f"Two thresholds are called {name!r}.")
    return made


def _threshold(faults: Faults, at: Place, value: Any) -> dict[str, Any]:
    form = Form(faults, at, value, ("name", "group", "role", "count", "member_for_seconds"))
    people = {
        key: form.text(key) if form.value.get(key) is not None else None
        for key in ("group", "role")
    }
    named = [name for name in people.values() if name is not None]
    if len(named) != 1 and isinstance(value, dict):
        faults.add(at, "A threshold names either a group or a role.")
    if people["role"] not in (None, DECIDES):
        form.fault("role", f"Of the roles only {DECIDES} decides: name that one, or a group.")
    return {
        "name": form.text("name", default=named[0] if named and named[0] else "people"),
        **people,
        "count": form.integer("count", 1, limits.MAX_QUORUM, default=1),
        "member_for_seconds": form.integer(
            "member_for_seconds", 0, limits.MAX_MEMBER_SECONDS, default=0
        ),
    }


def _escalation(form: Form, expires: int) -> dict[str, Any] | None:
    value = form.get("escalation", None)
    if value is None:
        return None
    given = Form(form.faults, form.place("escalation"), value, ("after_seconds", "groups"))
    after = given.integer("after_seconds", 1, limits.MAX_EXPIRY_SECONDS)
    if after >= expires:
        given.fault("after_seconds", f"The gate expires after {expires} seconds already.")
    groups = given.get("groups")
    return {
        "after_seconds": after,
        "groups": []
        if "groups" not in given
        else form.faults.texts(
            groups, given.place("groups"), most=limits.MAX_GROUPS, each=limits.MAX_POLICY_NAME
        ),
    }


_READ = {"consent": _consent, "allow": _allow, "block": _block}
