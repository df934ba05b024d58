"""Changes, freezes and broken glasses in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from approvals import policies
from approvals.models import BreakGlass, Change, Reviewer
from approvals.rules.words import counted
from console import rulebook
from console.pages.policywords import place_of
from console.pages.words import people, plainly


def frozen_words(scope: str, subject: str) -> str:
    """What is frozen: `Everything`, `The tool pay`."""
    return "Everything" if scope == "everything" else f"The {scope} {subject}"


def glass_words(glass: BreakGlass) -> str:
    """Where the two may decide: `at every gate`, `at gates of the tool pay`."""
    if glass.scope == BreakGlass.Scope.EVERYTHING:
        return "at every gate"
    return f"at gates of the {glass.scope} {glass.subject}"


def title_of(kind: str, body: dict[str, Any]) -> str:
    """What a change would do, in one line."""
    if kind == "add_reviewer":
        return f"Add {body['username']} to the group {body['group']}"
    if kind == "remove_reviewer":
        return f"Remove {body['username']} from the group {body['group']}"
    if kind == "thaw":
        what = frozen_words(body["scope"], body["subject"])
        return f"Thaw {what[0].lower()}{what[1:]}"
    if kind == "vouch_key":
        return f"Vouch for the key {body['name']} of {body['person']}"
    if kind == "publish_policy":
        return f"Publish a policy of {counted(len(body['rules']), 'rule')}"
    return plainly(kind)


Effects = Callable[[Change, dict[str, Any]], list[str]]


def _of_members(change: Change, body: dict[str, Any]) -> list[str]:
    found = Reviewer.objects.filter(tenant=change.tenant, group=body["group"])
    members = sorted(found.values_list("person__username", flat=True))
    named = f": {', '.join(members)}" if members else ""
    said = [f"The group {body['group']} has {people(len(members))} now{named}."]
    if change.kind == "add_reviewer":
        said.append(f"{body['username']} may then decide where policies ask for this group.")
    else:
        said.append(f"What {body['username']} approved before counts no longer, until it is paid.")
    return said


def _of_thaw(_change: Change, body: dict[str, Any]) -> list[str]:
    what = frozen_words(body["scope"], body["subject"])
    return [
        f"{what} goes on: what people have approved is cleared and paid without asking again.",
        "Whoever sees a reason to can freeze it again, with one click.",
    ]


def _of_policy(change: Change, body: dict[str, Any]) -> list[str]:
    """What differs is drawn by the page itself, below these sentences."""
    basis = rulebook.basis_of(change)
    if rulebook.document_of(basis) == body:
        return ["It says what is in force already: nothing would change."]
    unheld = policies.unheld(body) if change.status == Change.Status.OPEN else []
    against = "There was no policy before." if basis is None else f"Before: version {basis.number}."
    return [
        f"{against} Everything that it does otherwise is listed here.",
        "Open gates keep the version that opened them; new requests are asked about by this one.",
        *(f"{place_of(at)}: {said}" for at, said in unheld),
    ]


def _of_key(_change: Change, body: dict[str, Any]) -> list[str]:
    return [
        f"The key {body['name']} signs for every tier at once, and may break the glass.",
        f"Agree only when {body['person']} told you themself that this key is theirs: whoever"
        " holds it approves in their name.",
    ]


EFFECTS: dict[str, Effects] = {
    "add_reviewer": _of_members,
    "remove_reviewer": _of_members,
    "thaw": _of_thaw,
    "publish_policy": _of_policy,
    "vouch_key": _of_key,
}
"""What each kind of change means, in sentences; for a policy, how it differs from that in force."""


def effects_of(change: Change, body: dict[str, Any]) -> list[str]:
    """What would follow, as far as it can be said in words."""
    tell = EFFECTS.get(change.kind)
    return tell(change, body) if tell else []
