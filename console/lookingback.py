"""What people do to look back: recaps, second looks, and the figures of reviewers.

As in `deeds`: the right, the domain call and the audit entry, in one transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from approvals import habits, pace, secondlooks
from approvals.habits import Habit
from approvals.models import Recap, SecondLook
from console import access, audit
from console.models import User
from console.roles import may


def recap(person: User, *, upto: uuid.UUID, request: HttpRequest | None = None) -> Recap:
    """Records that this person looked over what they approved lately, up to this decision.

    Raises `access.Forbidden` and `approvals.errors.DecisionRefused`.
    """
    access.require(person, "gates.decide")
    with transaction.atomic():
        made = pace.recap(tenant=person.tenant, person=person, upto=upto)
        audit.record(
            person=person,
            action="approvals_looked_over",
            subject=f"{made.approvals} approvals",
            subject_id=made.pk,
            detail={"upto": str(upto), "approvals": made.approvals},
            request=request,
        )
    return made


def find_second_looks(person: User) -> QuerySet[SecondLook]:
    """Those that this person may take, the oldest first, with their gates."""
    access.require(person, "looks.take")
    found = secondlooks.waiting_for(person).select_related("gate__requester", "gate__step")
    return found.defer("gate__envelope", "gate__step__arguments", "gate__step__result")


def find_taken_looks(person: User) -> QuerySet[SecondLook]:
    """What was found in this tenant, the newest first."""
    access.require(person, "looks.take")
    found = SecondLook.objects.filter(tenant=person.tenant, looked_at__isnull=False)
    found = found.select_related("gate", "looked_by").defer("gate__envelope")
    return found.order_by("-looked_at", "-id")


def access_second_look(person: User, id: uuid.UUID) -> SecondLook:
    access.require(person, "looks.take")
    looks = SecondLook.objects.select_related("looked_by")
    look = looks.filter(tenant=person.tenant, pk=id).first()
    if look is None:
        raise access.NotFound("There is no such second look.")
    return look


def take_second_look(
    person: User,
    id: uuid.UUID,
    *,
    verdict: str,
    note: str,
    request: HttpRequest | None = None,
) -> SecondLook:
    """Records what this person found. Raises `access.Forbidden`, `access.NotFound`,
    `approvals.errors.LookRefused` and `approvals.errors.ReasonMissing`."""
    look = access_second_look(person, id)
    with transaction.atomic():
        said = secondlooks.say(
            look_id=look.pk, tenant=person.tenant, person=person, verdict=verdict, note=note
        )
        audit.record(
            person=person,
            action="second_look_taken",
            subject=f"Gate of {said.gate.tool}",
            subject_id=said.gate_id,
            detail={"found": verdict, "why": said.why},
            request=request,
        )
    return said


def find_habits(person: User, *, days: int) -> Sequence[Habit]:
    """The figures of everybody for who audits, and of themself for who reviews."""
    access.require(person, "figures.view")
    own = None if may(person, "audit.view") else person
    return habits.habits_of(tenant=person.tenant, days=days, person=own)
