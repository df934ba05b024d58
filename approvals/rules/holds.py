"""Whether one condition holds: yes, no, or nobody can tell; each with the sentence why."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from approvals.rules.conditions import DAYS, NAMES
from approvals.rules.facts import Circumstances, Request
from approvals.rules.words import BY, amount, band, name, names, span

Lists = Mapping[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One condition and what became of it; `holds` is None where nobody can tell."""

    name: str
    holds: bool | None
    text: str


def of_request(when: dict[str, Any], request: Request, lists: Lists) -> Iterator[Condition]:
    """The conditions that the request alone answers."""
    for key in NAMES:
        if key in when:
            yield _named(key, when[key], request)
    for key, check in _OF_REQUEST.items():
        if key in when:
            yield from check(when[key], request, lists)


def of_circumstances(
    when: dict[str, Any], request: Request, known: Circumstances
) -> Iterator[Condition]:
    """The conditions that need what rows say."""
    for one in when.get("sums", ()):
        yield _sum(one, request, known)
    for key in ("first_seen", "account_changed"):
        if key in when.get("payee", ()):
            yield _history(key, when["payee"][key], request, known)
    if "changed" in when:
        yield _changed(when["changed"], request, known)


def _named(key: str, allowed: list[str], request: Request) -> Condition:
    what = key.removesuffix("s")
    actual = str(getattr(request, what))
    if not actual:
        return _unknown(key, _nobody_said(what))
    holds = actual in allowed
    told = f"The {what} is {name(actual)}"
    return Condition(
        name=key, holds=holds, text=f"{told}." if holds else f"{told}, not {names(allowed)}."
    )


def _amounts(bands: list[dict[str, Any]], request: Request, _: Lists) -> Iterator[Condition]:
    money = request.money
    if money is None:
        yield _no_money("amounts")
        return
    minor, currency = money["amount_minor"], money["currency"]
    told = amount(minor, currency)
    own = [one for one in bands if one["currency"] == currency]
    for one in own:
        if one["above_minor"] < minor <= one["up_to_minor"]:
            yield Condition(name="amounts", holds=True, text=f"{told} is {band(one)}.")
            return
    if own:
        text = f"{told} is not {' or '.join(map(band, own))}."
    else:
        others = names(sorted({one["currency"] for one in bands}))
        text = f"The amount is in {currency}, not in {others}."
    yield Condition(name="amounts", holds=False, text=text)


def _no_money(key: str) -> Condition:
    return Condition(name=key, holds=False, text="It moves no money.")


def _lists(payee: dict[str, Any], request: Request, lists: Lists) -> Iterator[Condition]:
    for key in ("in", "not_in"):
        if key not in payee:
            continue
        if request.money is None:
            yield _no_money(f"payee.{key}")
        else:
            yield _listed(key, payee[key], request.payee, lists)


def _listed(key: str, wanted: list[str], payee: str, lists: Lists) -> Condition:
    """An account that differs from a listed one in spaces or letter case alone may be it or not:
    that is for the bank to know, so no rule is decided by it."""
    told, listed = names(wanted), f"payee.{key}"
    entries = [entry for one in wanted for entry in lists[one]]
    if payee in entries:
        text, is_in = f"The payee {name(payee)} is in the list {told}.", True
    elif folded(payee) in {folded(entry) for entry in entries}:
        text = (
            f"The payee {name(payee)} differs from one in the list {told} in spaces or letter case"
            " alone, so nobody can tell whether it is the same."
        )
        return Condition(name=listed, holds=None, text=text)
    else:
        text, is_in = f"The payee {name(payee)} is not in the list {told}.", False
    return Condition(name=listed, holds=is_in == (key == "in"), text=text)


def folded(payee: str) -> str:
    """What stays of an account without its spaces and its letter case."""
    return "".join(payee.split()).casefold()


def _free_text(wanted: bool, request: Request, _: Lists) -> Iterator[Condition]:
    if request.money is None:
        yield _no_money("free_text")
        return
    found = request.free_text
    text = (
        f"The payment carries free text in {names(found, 'and')}."
        if found
        else "The payment carries no free text."
    )
    yield Condition(name="free_text", holds=bool(found) == wanted, text=text)


def _time(wanted: dict[str, Any], request: Request, _: Lists) -> Iterator[Condition]:
    local = request.at.astimezone(zoneinfo.ZoneInfo(wanted["zone"]))
    because = _outside(wanted, local)
    told = f"It is {DAYS[local.weekday()].capitalize()} {local:%Y-%m-%d %H:%M} in {wanted['zone']}"
    text = f"{told}: {because or 'within'} the times of the rule."
    yield Condition(name="time", holds=(not because) == wanted["within"], text=text)


def _outside(wanted: dict[str, Any], local: datetime) -> str:
    """Why a moment is outside, in words; empty when it is within. The end is not within."""
    if local.date().isoformat() in wanted["holidays"]:
        return "a holiday, outside"
    if DAYS[local.weekday()] not in wanted["days"]:
        return "a day outside"
    now = local.time()
    is_early = now < _clock(wanted["from"])
    is_late = wanted["to"] != "24:00" and now >= _clock(wanted["to"])
    return "outside" if is_early or is_late else ""


def _clock(text: str) -> time:
    return time.fromisoformat(text)


_OF_REQUEST: dict[str, Callable[[Any, Request, Lists], Iterator[Condition]]] = {
    "amounts": _amounts,
    "payee": _lists,
    "free_text": _free_text,
    "time": _time,
}


def _sum(wanted: dict[str, Any], request: Request, known: Circumstances) -> Condition:
    by, currency, window = wanted["by"], wanted["currency"], wanted["window_seconds"]
    what = f"payments {BY[by]} within {span(window)}"
    if request.money is None:
        return _no_money("sums")
    others = known.sums.get((by, currency, window))
    because = _why_no_sum(wanted, request.money["currency"], request, what)
    if because or others is None:
        return _unknown("sums", because or f"Nobody has added up the {what}.")
    total = others.amount_minor + request.money["amount_minor"]
    limit = wanted["above_minor"]
    told = (
        f"The {what} are {'at least ' if others.is_at_least else ''}{amount(total, currency)}"
        " with this one"
    )
    if total > limit:
        return Condition(name="sums", holds=True, text=f"{told}, above {amount(limit, currency)}.")
    if others.is_at_least:
        return _unknown("sums", f"{told}; there are more than were looked at.")
    return Condition(name="sums", holds=False, text=f"{told}, not above {amount(limit, currency)}.")


def _why_no_sum(wanted: dict[str, Any], currency: str, request: Request, what: str) -> str:
    """Why a sum says nothing about this request, in words; empty where it does."""
    if currency != wanted["currency"]:
        return f"The {what} are added up in {wanted['currency']}, and this one is in {currency}."
    if wanted["by"] in ("agent", "workflow") and not getattr(request, wanted["by"]):
        return _nobody_said(wanted["by"])
    return ""


def _nobody_said(what: str) -> str:
    text = f"The request does not say which {what} it comes from"
    return f"{text}: its workflow declares none." if what == "agent" else f"{text}."


def _unknown(key: str, text: str) -> Condition:
    return Condition(name=key, holds=None, text=text)


_HISTORY = {
    ("first_seen", True): "No payment to this account was made before.",
    ("first_seen", False): "Payments to this account were made before.",
    ("account_changed", True): "The last payment to this name went to another account.",
    ("account_changed", False): "No payment to this name went to another account last time.",
}


def _history(key: str, wanted: bool, request: Request, known: Circumstances) -> Condition:
    if request.money is None:
        return _no_money(f"payee.{key}")
    if key == "account_changed" and not request.payee_name.strip():
        return _unknown(f"payee.{key}", "The payment names nobody whose account could be compared.")
    actual = getattr(known, key)
    if actual is None:
        return _unknown(f"payee.{key}", "Nobody has looked up earlier payments to this payee.")
    return Condition(name=f"payee.{key}", holds=actual == wanted, text=_HISTORY[key, actual])


def _changed(wanted: list[str], request: Request, known: Circumstances) -> Condition:
    if known.compared_with is None:
        return _unknown("changed", "Nobody has looked up the last similar action.")
    found = [one for one in wanted if known.changed.get(one)]
    if found:
        text = f"{names(found, 'and')} differs from the last similar action."
        return Condition(name="changed", holds=True, text=text)
    missing = [one for one in wanted if one not in request.arguments]
    if missing:
        return _unknown("changed", f"The request has no argument {names(missing)}.")
    if not known.compared_with:
        text = "There is no similar action before it, so everything counts as changed."
        return Condition(name="changed", holds=True, text=text)
    if any(one not in known.changed for one in wanted):
        return _unknown("changed", f"Nobody has compared {names(wanted)} with the last action.")
    text = f"{names(wanted, 'and')} is as in the last similar action."
    return Condition(name="changed", holds=False, text=text)
