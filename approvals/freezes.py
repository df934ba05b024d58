"""Freezes: one click stops what is in a scope, and two admins thaw it.

The database keeps the promise (`locks.freezes`): a freeze waits for claims under way, and a
claim that comes later sees it, so that never both win.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from approvals import limits, people
from approvals.errors import ChangeRefused, FreezeRefused
from approvals.models import Change, Decision, Freeze, Gate
from approvals.seals import seal, words
from runs import prepared
from runs.clock import database_now
from runs.models import new_id

MAY_FREEZE = (people.REVIEWER, people.OPERATOR, people.ADMIN)
SUBJECTS = {"tool": "tool", "workflow": "run__workflow", "payee": "payee"}
"""Where a gate says what a scope is about."""


def freeze(*, tenant: str, person: Any, scope: str, subject: str = "", reason: str) -> Freeze:
    """Freezes at once. What is frozen so already stays frozen once: that freeze is returned.

    Raises `FreezeRefused` and `ReasonMissing`.
    """
    subject = _checked(scope, subject)
    reason = people.reason_of(reason, of="A freeze")
    if person.tenant != tenant or not people.has_role(person, *MAY_FREEZE):
        raise FreezeRefused("A reviewer, an operator or an admin freezes.")
    already = active(tenant).filter(scope=scope, subject=subject).first()
    if already is not None:
        return already
    id = new_id()
    sealed = seal(
        "placet/freeze/v1",
        *(id, person.pk, scope, words(tenant), words(subject), words(reason)),
    )
    return Freeze.objects.create(
        id=id, tenant=tenant, scope=scope, subject=subject, reason=reason, by=person, seal=sealed
    )


def _checked(scope: str, subject: str) -> str:
    subject = subject.strip()
    if scope not in Freeze.Scope.values:
        raise FreezeRefused("What is frozen is everything, a tool, a workflow or a payee.")
    if scope == Freeze.Scope.EVERYTHING:
        return ""
    if not subject:
        raise FreezeRefused(f"Say which {scope} is to be frozen.")
    if len(subject) > limits.MAX_FROZEN_CHARACTERS or not subject.isprintable():
        raise FreezeRefused(
            f"The {scope} has at most {limits.MAX_FROZEN_CHARACTERS} printable characters."
        )
    return subject


def active(tenant: str) -> QuerySet[Freeze]:
    """The freezes in force, the oldest first."""
    return Freeze.objects.filter(tenant=tenant, lifted_at=None).order_by("at", "id")


def active_for(gate: Gate) -> Freeze | None:
    """The freeze that stops this gate's step, the oldest of them; None where nothing does."""
    return next((one for one in active(gate.tenant) if _is_about(one, gate)), None)


def _is_about(freeze: Freeze, gate: Gate) -> bool:
    asked = _subject(freeze.scope, gate)  # empty for a gate that pays nobody
    if freeze.scope == Freeze.Scope.PAYEE:
        return _plainly(freeze.subject) == _plainly(asked)
    return freeze.subject == asked


def _plainly(payee: str) -> str:
    """An account however it is spaced; `approvals_plainly` in the database."""
    return "".join(payee.split()).upper()


def why_frozen(gate: Gate) -> str:
    """Why the step of this gate is not to be cleared now, in words; empty when nothing stops it.

    The words are those of the lock itself, so that what is said is what will be refused.
    """
    workflow = gate.run.workflow
    with prepared.cursor() as cursor:
        cursor.execute(
            "SELECT approvals_frozen(%s::text, %s::text, %s::text, %s::text)",
            [gate.tenant, gate.tool, workflow, gate.payee],
        )
        row = cursor.fetchone()
    return str(row[0]) if row and row[0] else ""


def trip(tenant: str, freezes: list[dict[str, Any]], gate: Gate) -> list[Freeze]:
    """Freezes what a policy's thresholds say, after a denial at this gate; for the gatekeeper.

    `freezes` is that part of the policy's document: scope, denials, within_seconds. Counted are
    the gates that were denied in the scope of this one; the claim of a step that is being denied
    is held meanwhile, so call it once that transaction has committed.
    """
    return [frozen for one in freezes if (frozen := _trip(tenant, one, gate)) is not None]


def _trip(tenant: str, threshold: dict[str, Any], gate: Gate) -> Freeze | None:
    scope = threshold["scope"]
    subject = _subject(scope, gate)
    if scope != Freeze.Scope.EVERYTHING and not subject:
        return None  # a gate that pays nobody
    since = database_now() - timedelta(seconds=threshold["within_seconds"])
    last = Freeze.objects.filter(tenant=tenant, scope=scope, subject=subject, lifted_at__gt=since)
    thawed_at = last.order_by("-lifted_at").values_list("lifted_at", flat=True).first()
    denied = Q(decisions__verdict=Decision.Verdict.DENY)
    denied &= Q(decisions__decided_at__gt=max(since, thawed_at or since))
    about = {} if scope == Freeze.Scope.EVERYTHING else {SUBJECTS[scope]: subject}
    denials = Gate.objects.filter(denied, tenant=tenant, step__canary=None, **about)
    count = denials.distinct().count()
    is_frozen = active(tenant).filter(scope=scope, subject=subject).exists()
    if count < threshold["denials"] or is_frozen:
        return None
    reason = f"{count} denials within {threshold['within_seconds']} seconds: the policy says so."
    return Freeze.objects.create(tenant=tenant, scope=scope, subject=subject, reason=reason)


def _subject(scope: str, gate: Gate) -> str:
    if scope == Freeze.Scope.EVERYTHING:
        return ""
    about = {"tool": gate.tool, "workflow": gate.run.workflow, "payee": gate.payee}
    return about[scope] or ""


def thaw_body(freeze: Freeze) -> dict[str, Any]:
    """What a change says that lifts this freeze: which one, and what is thawed by it."""
    return {"freeze": str(freeze.pk), "scope": freeze.scope, "subject": freeze.subject}


def check_thaw(tenant: str, body: dict[str, Any]) -> None:
    """Raises `ChangeRefused` unless the freeze is one of the tenant and still in force."""
    freeze = active(tenant).filter(pk=UUID(body["freeze"])).first()
    if freeze is None or body != thaw_body(freeze):
        raise ChangeRefused("There is no such freeze, or it has been lifted already.")


def thaw(change: Change, body: dict[str, Any]) -> None:
    """For the gatekeeper, within a change: the database refuses it outside of one."""
    frozen = active(change.tenant).filter(pk=UUID(body["freeze"]))
    frozen.update(lifted_at=database_now(), lifted_by=change)
