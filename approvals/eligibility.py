"""Who may decide at a gate, in words; the database is the judge of it (`approvals.locks`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from approvals import quorum
from approvals.models import Decision, Gate
from runs import forks
from runs.clock import database_now

# Groups and roles of one who is active, by the names that `Gate.groups` has for them.
ASKED_AS = """
    SELECT a.name, a.since FROM console_user u CROSS JOIN LATERAL (
        SELECT r."group" AS name, r.since FROM approvals_reviewer r
        WHERE r.tenant = u.tenant AND r.person_id = u.id
      UNION ALL
        SELECT 'role:' || g.name, m.since
        FROM console_user_groups m JOIN auth_group g ON g.id = m.group_id WHERE m.user_id = u.id
    ) a WHERE u.id = %s AND u.is_active
"""


def why_not(gate: Gate, person: Any) -> str:
    """Why this person may not decide at this gate, in words; empty when they may."""
    if gate.status != Gate.Status.OPEN:
        return f"This gate is {gate.get_status_display().lower()}; nothing is left to decide."
    if gate.expires_at <= database_now():
        return "The time of this gate is over."
    return _why_not_them(gate, person)


def _why_not_them(gate: Gate, person: Any) -> str:
    if person.pk in forks.requesters_of(gate.run_id):
        what = (
            "this run" if gate.requester_id == person.pk else "a run that this one was forked from"
        )
        return f"You requested {what}, so somebody else must decide."
    if has_requested(gate, person):
        return "Another account of yours requested this run, so somebody else must decide."
    if not is_member(gate, person) and _delegated_by(gate, person) is None:
        return _who_may(gate, person)
    if gate.decisions.filter(person=person).exists():
        return "You have decided already; one person has one vote."
    return ""


def _who_may(gate: Gate, person: Any) -> str:
    words = f"Only members of {quorum.asked_in_words(gate.needs)} decide here."
    is_late = any(
        name in gate.groups and since > gate.opened_at for name, since in asked_as(person)
    )
    if person.tenant == gate.tenant and is_late:
        words += " You joined after this request was made, so you do not count here."
    return words


def is_member(gate: Gate, person: Any) -> bool:
    """Whether the gate asks this person: in a group or role of its thresholds since before it
    was opened, still active, and none of those who requested what it is about."""
    return bool(_ask("approvals_is_member(g, %s)", gate, person))


def principal_of(gate: Gate, person: Any) -> int | None:
    """On whose behalf this person may decide here, where the gate does not ask them themself."""
    return None if is_member(gate, person) else _delegated_by(gate, person)


def _delegated_by(gate: Gate, person: Any) -> int | None:
    found = _ask("approvals_principal_of(g, %s)", gate, person)
    return None if found is None else int(found)


def has_requested(gate: Gate, person: Any) -> bool:
    """Whether this human being, by any account, requested what the gate is about."""
    return bool(_ask("approvals_requested_before(g.run_id, %s)", gate, person))


def _ask(question: str, gate: Gate, person: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {question} FROM approvals_gate g WHERE g.id = %s", [person.pk, gate.pk]
        )
        row = cursor.fetchone()
    return None if row is None else row[0]


def asked_as(person: Any) -> list[tuple[str, datetime]]:
    """What gates may ask this person as, in the words of `Gate.groups`, and since when they are
    that; nothing for who is no longer active."""
    with connection.cursor() as cursor:
        cursor.execute(ASKED_AS, [person.pk])
        return list(cursor.fetchall())


def asked_people(gate: Gate) -> list[int]:
    """Everybody whom the thresholds of the gate ask, in a group or by a role; who requested it
    may be among them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT approvals_asked(%s)", [gate.pk])
        return [id for (id,) in cursor.fetchall()]


def is_asked(person: Any, known_as: Sequence[tuple[str, datetime]] | None = None) -> Q:
    """For lists of gates of the person's tenant: those that `why_not` would leave to this
    person, so far as they are open and in time (`is_live`). `known_as` is what `asked_as` has
    just told, where that was read already.

    Two conditions are left to the page of the gate: how long a rule wants somebody to have been
    a member, and that two accounts are one human being.
    """
    asked = Q(pk__in=[])
    for name, since in asked_as(person) if known_as is None else known_as:
        at_once = Q(groups__contains=[name])
        later = Q(later_groups__contains=[name], escalates_at__lte=Now())
        asked |= Q(opened_at__gte=since) & (at_once | later)
    voted = Decision.objects.filter(tenant=person.tenant, gate=OuterRef("pk"), person=person)
    # In one NOT, PostgreSQL asks row by row for what is left by the rest; of a NOT EXISTS of its
    # own it makes a join with all that this person has ever decided.
    out = Q(requester=person) | Q(Exists(voted)) | Q(forks.RequestedBy("run_id", person.pk))
    return Q(tenant=person.tenant) & asked & ~out


def is_live() -> Q:
    """Open, and not past its time (the gatekeeper closes it a moment later)."""
    return Q(status=Gate.Status.OPEN, expires_at__gt=Now())
