"""The pace of one person's approvals: who approves too many too fast looks over them first.

Nobody is locked out: they go on when the oldest of them is some minutes old, or at once when
they confirm on a page that shows what they have approved. Denials have no pace.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max

from approvals import limits
from approvals.errors import DecisionRefused, TooFast
from approvals.models import Decision, Gate, Recap
from approvals.rules.words import amount
from approvals.seals import seal
from runs.clock import database_now
from runs.models import new_id
from runs.points import reach

WINDOW = timedelta(seconds=limits.RATE_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What a person approved lately and has not looked over since, the newest first."""

    approvals: Sequence[Decision]

    @property
    def is_too_fast(self) -> bool:
        return len(self.approvals) >= limits.RATE_APPROVALS

    @property
    def free_at(self) -> datetime:
        """From when one more approval is taken without a recap."""
        return self.free_for(1)

    @property
    def left(self) -> int:
        """How many more approvals are taken now."""
        return limits.RATE_APPROVALS - len(self.approvals)

    def free_for(self, more: int) -> datetime:
        """From when so many more approvals are taken without a recap, if they are not now."""
        return self.approvals[limits.RATE_APPROVALS - more].decided_at + WINDOW

    @property
    def sums(self) -> dict[str, int]:
        """What the approvals come to, in minor units by currency; nothing of it is a canary's."""
        approved = Gate.objects.filter(id__in=[one.gate_id for one in self.approvals])
        canaries = set(approved.exclude(step__canary=None).values_list("id", flat=True))
        sums: dict[str, int] = defaultdict(int)
        for one in self.approvals:
            if one.gate.amount_minor is not None and one.gate_id not in canaries:
                sums[one.gate.currency] += one.gate.amount_minor
        return dict(sorted(sums.items()))


def pace_of(person: Any) -> Pace:
    """The database counts the same (`approvals_paced`), and is the judge of it."""
    since = database_now() - WINDOW
    own = {"tenant": person.tenant, "person": person}
    shown = Recap.objects.filter(**own, at__gt=since).aggregate(last=Max("upto__decided_at"))
    approvals = Decision.objects.filter(
        **own, verdict=Decision.Verdict.APPROVE, decided_at__gt=max(since, shown["last"] or since)
    )
    newest = approvals.select_related("gate").defer("gate__envelope", "gate__needs")
    return Pace(approvals=list(newest.order_by("-decided_at", "-id")[: limits.RATE_APPROVALS]))


def check(person: Any, *, more: int = 1) -> None:
    """Raises `TooFast` with what the person approved, and from when so many more go through.

    Within a transaction: until it ends, no other approval of the person is taken.
    """
    lock(person)
    pace = pace_of(person)
    if more > pace.left:
        raise TooFast(
            f"{in_words(pace)} {_way_on(pace)}, or wait until"
            f" {pace.free_for(more):%H:%M:%S} UTC. Nothing was recorded."
        )


def lock(person: Any) -> None:
    """Within a transaction: until it ends, no other approval of the person is taken."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('placet.pace'), hashtext(%s))", [str(person.pk)]
        )


def _way_on(pace: Pace) -> str:
    """How to go on at once: with a recap where one is due, and else with fewer requests."""
    if pace.is_too_fast:
        return "Look over them to go on now"
    return f"Select {pace.left} at most to go on now"


def in_words(pace: Pace) -> str:
    """How many requests, and what they come to in each currency."""
    minutes = limits.RATE_SECONDS // 60
    sums = [amount(minor, currency) for currency, minor in pace.sums.items()]
    of = f": {' and '.join(sums)} in all" if sums else ""
    return f"You approved {len(pace.approvals)} requests within {minutes} minutes{of}."


def recap(*, tenant: str, person: Any, upto: UUID) -> Recap:
    """Records that a person has looked over their approvals up to this one, and goes on.

    Raises `DecisionRefused` where they were not shown all of them, or nothing is due.
    """
    with transaction.atomic():
        pace = pace_of(person)
        if person.tenant != tenant or not pace.is_too_fast:
            raise DecisionRefused("There is nothing to be looked over: you can approve.")
        if pace.approvals[0].pk != upto:
            raise DecisionRefused("You have approved more since this page was shown; look again.")
        id = new_id()
        made = Recap(
            id=id,
            tenant=tenant,
            person=person,
            upto=pace.approvals[0],
            seal=seal("placet/recap/v1", id, person.pk, upto),
        )
        made.save(force_insert=True)
    reach("committed:recap.made")
    made.refresh_from_db()
    return made
