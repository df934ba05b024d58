"""The `when` of a rule in its normal form. All that stand there must hold; none, all requests."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Collection
from datetime import date
from functools import cache
from typing import Any

from approvals import limits
from approvals.rules.faults import Faults, Form, Place, kind_of, shown
from runs.canonical import CURRENCIES
from runs.limits import MAX_AMOUNT_MINOR

NAMES = ("tools", "workflows", "agents", "requesters", "tenants")
CONDITIONS = (*NAMES, "amounts", "sums", "payee", "free_text", "changed", "time")
SINGLE = {f"{name}s": name for name in ("tool", "workflow", "agent", "requester", "tenant")} | {
    "amounts": "amount",
    "sums": "sum",
}
"""What an author may write for a list of one."""
BY = ("payee", "run", "agent", "workflow", "tenant")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00")


def when(faults: Faults, at: Place, value: Any, lists: Collection[str]) -> dict[str, Any]:
    """The normal form; `lists` are the names that `payee` may refer to."""
    form = Form(faults, at, _plural(faults, at, value), CONDITIONS)
    made: dict[str, Any] = {}
    for name in (*NAMES, "changed"):
        if name in form:
            made[name] = faults.texts(
                form.get(name),
                form.place(name),
                most=limits.MAX_NAMES,
                each=limits.MAX_POLICY_NAME,
            )
    if "amounts" in form:
        parts = form.items("amounts", 1, limits.MAX_BANDS)
        made["amounts"] = [_band(faults, place, one) for place, one in parts]
    if "sums" in form:
        parts = form.items("sums", 1, limits.MAX_SUMS)
        # All of them must hold, so neither their order nor a second time says anything.
        sums = {tuple(_sum(faults, place, one).items()) for place, one in parts}
        made["sums"] = [dict(one) for one in sorted(sums)]
    if "payee" in form:
        made["payee"] = _payee(faults, form.place("payee"), form.get("payee"), lists)
    if "free_text" in form:
        made["free_text"] = form.boolean("free_text")
    if "time" in form:
        made["time"] = _time(faults, form.place("time"), form.get("time"))
    return made


def _plural(faults: Faults, at: Place, value: Any) -> Any:
    """`tool: pay` says what `tools: [pay]` says; both together say nothing."""
    if not isinstance(value, dict):
        return value
    made = dict(value)
    for plural, single in SINGLE.items():
        if single not in made:
            continue
        if plural in made:
            faults.add((*at, single), f"This stands beside {plural}; write one of them.")
        one = made.pop(single)
        made.setdefault(plural, one if isinstance(one, str | dict) else [one])
    return made


def _band(faults: Faults, at: Place, value: Any) -> dict[str, Any]:
    form = Form(faults, at, value, ("currency", "above_minor", "up_to_minor"))
    above = form.integer("above_minor", 0, MAX_AMOUNT_MINOR, default=0)
    up_to = form.integer("up_to_minor", 1, MAX_AMOUNT_MINOR, default=MAX_AMOUNT_MINOR)
    if up_to <= above and form.value.get("up_to_minor") in (None, up_to):
        form.fault("up_to_minor", f"The band ends at {up_to}, not above {above} where it begins.")
    return {"currency": _currency(form), "above_minor": above, "up_to_minor": up_to}


def _sum(faults: Faults, at: Place, value: Any) -> dict[str, Any]:
    form = Form(faults, at, value, ("by", "currency", "window_seconds", "above_minor"))
    return {
        "by": form.choice("by", BY),
        "currency": _currency(form),
        "window_seconds": form.integer("window_seconds", 1, limits.MAX_WINDOW_SECONDS),
        "above_minor": form.integer("above_minor", 0, MAX_AMOUNT_MINOR),
    }


def _currency(form: Form) -> str:
    value = form.get("currency")
    if isinstance(value, str) and value in CURRENCIES:
        return value
    if isinstance(value, str):
        form.fault("currency", f"{shown(value)!r} is not an ISO 4217 currency.")
    elif "currency" in form:
        form.fault("currency", f"This must be an ISO 4217 currency, not {kind_of(value)}.")
    return ""


def _payee(faults: Faults, at: Place, value: Any, lists: Collection[str]) -> dict[str, Any]:
    form = Form(faults, at, value, ("first_seen", "account_changed", "in", "not_in"))
    made: dict[str, Any] = {
        name: form.boolean(name) for name in ("first_seen", "account_changed") if name in form
    }
    for name in ("in", "not_in"):
        if name in form:
            made[name] = faults.texts(
                form.get(name),
                form.place(name),
                most=limits.MAX_LISTS,
                each=limits.MAX_POLICY_NAME,
            )
            for unknown in set(made[name]) - set(lists):
                form.fault(name, f"There is no list {shown(unknown)!r} in this policy.")
    for both in sorted(set(made.get("in", ())) & set(made.get("not_in", ()))):
        form.fault("not_in", f"No payee is both in {both!r} and not in it.")
    if isinstance(value, dict) and not value:
        faults.add(at, "This must ask for something: first_seen, account_changed, in or not_in.")
    return made


def _time(faults: Faults, at: Place, value: Any) -> dict[str, Any]:
    form = Form(faults, at, value, ("zone", "days", "from", "to", "holidays", "within"))
    days = faults.texts(form.get("days", list(DAYS[:5])), form.place("days"), most=7, each=16)
    for day in set(days) - set(DAYS):
        form.fault("days", f"{shown(day)!r} is no day; write {', '.join(DAYS)}.")
    begins, ends = _clock(form, "from", "00:00"), _clock(form, "to", "24:00")
    if ends <= begins:
        form.fault(
            "to", f"{ends} is not after {begins}; for a night, name the day and say within: false."
        )
    return {
        "zone": _zone(form),
        "days": [day for day in DAYS if day in days],
        "from": begins,
        "to": ends,
        "holidays": _holidays(form),
        "within": form.boolean("within", default=True),
    }


def _clock(form: Form, key: str, default: str) -> str:
    value = form.get(key, default)
    if isinstance(value, str) and CLOCK.fullmatch(value):
        return value
    form.fault(key, f"This must be a time of day like 08:00, not {kind_of(value)}.")
    return default


def _zone(form: Form) -> str:
    value = form.get("zone", "UTC")
    if isinstance(value, str) and value in zones():
        return value
    form.fault(
        "zone",
        f"There is no time zone {shown(value)!r}; write it as the IANA database does, for example"
        " Europe/Berlin.",
    )
    return "UTC"


@cache
def zones() -> frozenset[str]:
    """The names of the IANA database on this machine."""
    return frozenset(zoneinfo.available_timezones())


def _holidays(form: Form) -> list[str]:
    if form.get("holidays", []) == []:
        return []
    given = form.faults.texts(
        form.get("holidays"), form.place("holidays"), most=limits.MAX_NAMES, each=16
    )
    for day in given:
        if not _is_date(day):
            form.fault("holidays", f"{shown(day)!r} is no date like 2026-12-25.")
    return given


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
