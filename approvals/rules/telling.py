"""A policy in words: what a rule asks and what follows, and how two policies differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from approvals.rules import words
from approvals.rules.conditions import DAYS, NAMES
from approvals.rules.words import BY, amount, band, counted, name, span

TIERS = {
    "confirm": "by a confirmation",
    "passkey": "by a passkey",
    "typed": "by a passkey and the amount or account typed",
    "critical": "by a passkey, typed, and with time to take it back",
}


def names(given: Sequence[str], word: str = "or") -> str:
    """All of them, however many: no change may hide behind others."""
    return words.names(given, word, most=len(given))


def conditions(when: dict[str, Any]) -> list[str]:
    """What must hold, a phrase for each condition; one phrase where there is none."""
    made = [f"the {one.removesuffix('s')} is {names(when[one])}" for one in NAMES if one in when]
    for key, tell in _CONDITIONS.items():
        if key in when:
            made += tell(when[key])
    return made or ["always"]


def _payee(payee: dict[str, Any]) -> list[str]:
    made = []
    if "first_seen" in payee:
        made.append(f"the account was {'never' if payee['first_seen'] else 'already'} paid before")
    if "account_changed" in payee:
        changed = "has changed" if payee["account_changed"] else "has not changed"
        made.append(f"the account of this name {changed} since last time")
    if "in" in payee:
        made.append(f"the payee is in the list {names(payee['in'])}")
    if "not_in" in payee:
        made.append(f"the payee is not in the list {names(payee['not_in'])}")
    return made


def _time(time: dict[str, Any]) -> list[str]:
    days = names([day.capitalize() for day in DAYS if day in time["days"]], "and")
    if len(time["days"]) == len(DAYS):
        days = "every day"
    but = f", but not on {names(time['holidays'], 'and')}" if time["holidays"] else ""
    when = f"{days} from {time['from']} to {time['to']} in {time['zone']}{but}"
    return [f"it is {'within' if time['within'] else 'outside'} {when}"]


def _sum(one: dict[str, Any]) -> str:
    limit = amount(one["above_minor"], one["currency"])
    return f"the payments {BY[one['by']]} within {span(one['window_seconds'])} are above {limit}"


_CONDITIONS: dict[str, Callable[[Any], list[str]]] = {
    "amounts": lambda bands: [f"the amount is {' or '.join(map(band, bands))}"],
    "sums": lambda sums: [_sum(one) for one in sums],
    "payee": _payee,
    "free_text": lambda wanted: [f"the payment carries {'' if wanted else 'no '}free text"],
    "changed": lambda given: [f"{names(given)} differs from the last similar action"],
    "time": _time,
}


def outcome(then: dict[str, Any]) -> list[str]:
    """What follows, a phrase for each part that is asked for."""
    if "block" in then:
        return [f"it is blocked: {then['block']['reason']}"]
    if "allow" in then:
        percent = then["allow"]["sample_percent"]
        sample = f", and {percent} % are looked at later" if percent else ""
        return [f"it is allowed without asking anybody{sample}"]
    consent = then["consent"]
    each = [_threshold(one) for one in consent["thresholds"]]
    joined = (" and " if consent["mode"] == "all" else " or ").join(each)
    return [f"{joined} must consent", TIERS[consent["tier"]], *_times(consent)]


def _threshold(one: dict[str, Any]) -> str:
    whom = f"the group {one['group']}" if one["group"] is not None else f"the role {one['role']}"
    if one["name"] not in (one["group"], one["role"]):
        whom = f"{name(one['name'])}, {whom}"
    since = one["member_for_seconds"]
    return f"{one['count']} of {whom}" + (f", members for {span(since)}," if since else "")


def _times(consent: dict[str, Any]) -> list[str]:
    made = [f"within {span(consent['expires_after_seconds'])}"]
    for key, phrase in (
        ("remind_after_seconds", "with a reminder after {}"),
        ("dwell_seconds", "after at least {} on the page"),
        ("cooling_off_seconds", "used after {} at the earliest"),
    ):
        if consent[key]:
            made.append(phrase.format(span(consent[key])))
    escalation = consent["escalation"]
    if escalation:
        after, groups = span(escalation["after_seconds"]), names(escalation["groups"], "and")
        made.append(f"after {after} also by the group {groups}")
    return made


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that a new policy does otherwise. `gone` and `come` are the phrases that only
    the old one has, and only the new one."""

    what: Literal["added", "removed", "moved", "changed", "list", "freeze", "canaries"]
    name: str
    text: str
    gone: tuple[str, ...] = ()
    come: tuple[str, ...] = ()


def diff(old: dict[str, Any], new: dict[str, Any]) -> list[Difference]:
    """How two documents in their normal form differ, rule by rule; rules are known by name."""
    before = {one["name"]: (no, one) for no, one in enumerate(old["rules"], 1)}
    after = {one["name"]: (no, one) for no, one in enumerate(new["rules"], 1)}
    made = [_removed(one, *before[one]) for one in before if one not in after]
    moved = _moved([one for one in before if one in after], [one for one in after if one in before])
    for one, (no, rule) in after.items():
        if one not in before:
            made.append(_added(one, no, rule))
            continue
        if one in moved:
            text = f"The rule {one!r} is tried as no. {no}, no longer as no. {before[one][0]}."
            made.append(Difference(what="moved", name=one, text=text))
        if rule != before[one][1]:
            made.append(_changed(one, before[one][1], rule))
    return [*made, *_lists(old["lists"], new["lists"]), *_freezes(old, new), *_canaries(old, new)]


def phrases(rule: dict[str, Any]) -> tuple[str, ...]:
    """All that a rule says: when it matches, and what follows."""
    return (*(f"when {one}" for one in conditions(rule["when"])), *outcome(rule["then"]))


def _added(one: str, no: int, rule: dict[str, Any]) -> Difference:
    text = f"The rule {one!r} is new, as no. {no}."
    return Difference(what="added", name=one, text=text, come=phrases(rule))


def _removed(one: str, no: int, rule: dict[str, Any]) -> Difference:
    text = f"The rule {one!r}, which was no. {no}, is gone."
    return Difference(what="removed", name=one, text=text, gone=phrases(rule))


def _changed(one: str, old: dict[str, Any], new: dict[str, Any]) -> Difference:
    return _told("changed", one, f"The rule {one!r} has changed.", phrases(old), phrases(new))


def _told(
    what: Literal["changed", "list", "freeze", "canaries"],
    one: str,
    text: str,
    old: Sequence[str],
    new: Sequence[str],
) -> Difference:
    gone = tuple(phrase for phrase in old if phrase not in new)
    come = tuple(phrase for phrase in new if phrase not in old)
    return Difference(what=what, name=one, text=text, gone=gone, come=come)


def _moved(before: list[str], after: list[str]) -> set[str]:
    """Those that do not stand in the longest order that both share."""
    blocks = SequenceMatcher(a=before, b=after, autojunk=False).get_matching_blocks()
    kept = {one for block in blocks for one in before[block.a : block.a + block.size]}
    return set(before) - kept


def _lists(old: dict[str, list[str]], new: dict[str, list[str]]) -> list[Difference]:
    made = []
    for one in sorted(old.keys() | new.keys()):
        before, after = old.get(one, []), new.get(one, [])
        if before != after:
            state = "is new" if not before else "is gone" if not after else "has changed"
            text = f"The list {name(one)!r} {state}."
            made.append(_told("list", one, text, before, after))
    return made


def _freezes(old: dict[str, Any], new: dict[str, Any]) -> list[Difference]:
    before, after = ([freeze(one) for one in given["freezes"]] for given in (old, new))
    if before == after:
        return []
    text = "What freezes by itself has changed."
    return [_told("freeze", "freezes", text, before, after)]


def _canaries(old: dict[str, Any], new: dict[str, Any]) -> list[Difference]:
    before, after = canaries(old), canaries(new)
    if before == after:
        return []
    text = "How often canaries are planted has changed."
    return [_told("canaries", "canaries", text, [before], [after])]


def canaries(document: dict[str, Any]) -> str:
    """How often reviewers are tested by requests that can never be paid."""
    per_week = document.get("canaries", {}).get("per_week", 0)
    if not per_week:
        return "no canaries"
    return f"up to {per_week} {'canary' if per_week == 1 else 'canaries'} within any seven days"


def freeze(one: dict[str, Any]) -> str:
    """At how many denials what is frozen by itself."""
    denials, within = counted(one["denials"], "denial"), span(one["within_seconds"])
    what = "everything" if one["scope"] == "everything" else f"the {one['scope']}"
    return f"{denials} within {within} freeze {what}"
