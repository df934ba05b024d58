"""Second looks: some of what was cleared without people, or approved fast, is looked at again.

The gatekeeper draws by a lot that is the gate's own digest. A second look moves no money and
stops none: it tells whether the policy, and the people who apply it, were right.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from approvals import limits, people
from approvals.errors import LookRefused
from approvals.models import Decision, SecondLook
from approvals.seals import seal, words
from runs import forks
from runs.clock import database_now
from runs.models import new_id
from runs.points import reach

MAY_LOOK = (people.REVIEWER, people.AUDITOR)
OVERLAP = timedelta(minutes=1)
"""How much of what the last pass looked over is looked over again: gates close in transactions."""

DRAWN = """
    SELECT g.id, g.tenant FROM approvals_gate g
    WHERE g.status <> 'open' AND g.closed_at > %s
      AND NOT EXISTS (SELECT FROM approvals_secondlook l WHERE l.gate_id = g.id)
      AND approvals_drawn(g) IS NOT NULL
    ORDER BY g.closed_at LIMIT %s
"""


class Draws:
    """Draws among the gates that closed since the last pass; the first pass looks further back."""

    def __init__(self) -> None:
        self._since: datetime | None = None

    def sweep(self) -> int:
        """For the gatekeeper. Returns how many gates were drawn."""
        now = database_now()
        since = self._since or now - timedelta(seconds=limits.DRAW_SECONDS)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(DRAWN, [since, limits.SWEEP_BATCH])
            found = cursor.fetchall()
            SecondLook.objects.bulk_create(
                [SecondLook(id=new_id(), tenant=tenant, gate_id=gate) for gate, tenant in found],
                ignore_conflicts=True,
            )
        if found:
            reach("committed:secondlook.drawn")
        if len(found) < limits.SWEEP_BATCH:
            self._since = now - OVERLAP
        return len(found)


def waiting_for(person: Any) -> QuerySet[SecondLook]:
    """Those that this person may look at, the oldest first.

    That two accounts are one human being is left to `why_not`.
    """
    part = Decision.objects.filter(gate=OuterRef("gate")).filter(
        Q(person=person) | Q(on_behalf_of=person)
    )
    due = SecondLook.objects.filter(tenant=person.tenant, looked_at=None)
    others = due.exclude(gate__requester=person).filter(~Exists(part))
    return others.exclude(Q(forks.RequestedBy("gate__run_id", person.pk))).order_by(
        "drawn_at", "id"
    )


def why_not(look: SecondLook, person: Any) -> str:
    """Why this person may not say what they found, in words; empty when they may."""
    if look.looked_at is not None:
        return "Somebody has looked already; what they found stays."
    if person.tenant != look.tenant or not people.has_role(person, *MAY_LOOK):
        return "A reviewer or an auditor takes a second look."
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT approvals_had_a_part(g, %s) FROM approvals_gate g WHERE g.id = %s",
            [person.pk, look.gate_id],
        )
        had_a_part = cursor.fetchone()
    if had_a_part is None or had_a_part[0]:
        return "You requested this or decided about it, so somebody else looks."
    return ""


def say(*, look_id: UUID, tenant: str, person: Any, verdict: str, note: str) -> SecondLook:
    """Records once what a person found. Raises `LookRefused` and `ReasonMissing`."""
    if verdict not in SecondLook.Verdict.values:
        raise LookRefused("It was right, or it was wrong: say which.")
    note = people.reason_of(note, of="A note", is_needed=False)
    if verdict == SecondLook.Verdict.WRONG and not note:
        raise LookRefused("Say what was wrong: who decides and who writes the policy read it.")
    with transaction.atomic():
        looks = SecondLook.objects.select_for_update(no_key=True, of=("self",))
        look = looks.select_related("gate").get(pk=look_id, tenant=tenant)
        if because := why_not(look, person):
            raise LookRefused(because)
        look.looked_by, look.verdict, look.note = person, verdict, note
        look.looked_at = timezone.now()
        look.seal = seal(
            "placet/secondlook/v1",
            look.pk,
            person.pk,
            verdict,
            words(note),
            digest=bytes(look.gate.digest),
        )
        look.save(update_fields=["looked_by", "verdict", "note", "seal", "looked_at"])
    look.refresh_from_db()
    return look
