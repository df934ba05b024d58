"""Changes: what no admin does alone. One proposes, two agree, the gatekeeper carries it out.

Who agrees is counted by humans, not by accounts, and counted again by the database when the
change is applied. What a change does is in `KINDS`; each effect is refused by the database
unless a change of exactly that body is applied in the same transaction.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone

from approvals import freezes, groups, limits, people, policies, registry
from approvals.errors import ApprovalsError, ChangeRefused, DigestMismatch
from approvals.models import Change, ChangeVoice
from approvals.seals import seal, words
from runs import canonical
from runs.clock import database_now
from runs.models import new_id

logger = logging.getLogger(__name__)

TAG = b"placet/change/v1\0"
Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of change: what is looked at when it is proposed and again before it is applied,
    and what it does. Both may raise an `ApprovalsError` with a sentence. `why_no_voice` says why
    somebody's word for it would be none, besides who may speak at all."""

    check: Callable[[str, Body], None]
    apply: Callable[[Change, Body], None]
    proposers: tuple[str, ...] = (people.ADMIN,)
    why_no_voice: Callable[[Body, Any], str] = lambda _body, _person: ""


KINDS: dict[str, Kind] = {
    "add_reviewer": Kind(
        check=groups.check_addition,
        apply=lambda change, body: groups.add(change.tenant, body),
    ),
    "remove_reviewer": Kind(
        check=groups.check_removal,
        apply=lambda change, body: groups.remove(change.tenant, body),
    ),
    "publish_policy": Kind(
        check=policies.check,
        apply=lambda change, body: policies.carry_out(change.tenant, body),
    ),
    "vouch_key": Kind(
        check=registry.check_vouching,
        apply=lambda change, body: registry.carry_out_vouching(change.tenant, body),
        why_no_voice=registry.why_not_vouch,
    ),
    "thaw": Kind(check=freezes.check_thaw, apply=freezes.thaw, proposers=freezes.MAY_FREEZE),
}
"""By their names."""


def propose(*, tenant: str, person: Any, kind: str, body: Body, reason: str) -> Change:
    """The change as it waits for others; the proposer's own voice counts, if they are an admin.

    Raises `ChangeRefused` and `ReasonMissing`; then nothing was proposed.
    """
    reason = people.reason_of(reason, of="A change")
    what = KINDS.get(kind)
    if what is None:
        raise ChangeRefused(f"Nothing here can carry out a change of the kind {kind!r}.")
    if person.tenant != tenant or not people.has_role(person, *what.proposers):
        raise ChangeRefused(f"To propose this takes the role {' or '.join(what.proposers)}.")
    encoded = canonical.encode(body)
    if len(encoded) > limits.MAX_CHANGE_BYTES:
        raise ChangeRefused(
            f"The change has {len(encoded)} bytes; at most {limits.MAX_CHANGE_BYTES} are kept."
        )
    what.check(tenant, body)
    if because := what.why_no_voice(body, person):
        raise ChangeRefused(because)
    if Change.objects.filter(
        tenant=tenant, kind=kind, body=encoded, status=Change.Status.OPEN
    ).exists():
        raise ChangeRefused("The same has been proposed already, and is still open.")
    return _record(tenant, person, kind, encoded, reason)


def _record(tenant: str, person: Any, kind: str, body: bytes, reason: str) -> Change:
    id = new_id()
    digest = digest_of(id=id, tenant=tenant, kind=kind, person_id=person.pk, body=body)
    return Change.objects.create(
        id=id,
        tenant=tenant,
        kind=kind,
        body=body,
        digest=digest,
        proposed_by=person,
        reason=reason,
        seal=seal("placet/proposal/v1", id, person.pk, words(reason), "", digest=digest),
        expires_at=database_now() + timedelta(seconds=limits.CHANGE_SECONDS),
    )


def digest_of(*, id: UUID, tenant: str, kind: str, person_id: int, body: bytes) -> bytes:
    """SHA-256 over the tag, who asks for what kind of change, and the bytes of its body."""
    told = f"{id}|{words(tenant)}|{kind}|{person_id}|"
    return hashlib.sha256(TAG + told.encode() + bytes(body)).digest()


def body_of(change: Change) -> Body:
    """What the change would do, from the very bytes that people agree to."""
    decoded: Body = canonical.decode(bytes(change.body))
    return decoded


def say(
    *, change_id: UUID, tenant: str, person: Any, verdict: str, reason: str, digest: str
) -> ChangeVoice:
    """Records what a person says of the change whose digest they saw (64 hex digits).

    The proposer may refuse their own change: that withdraws it. The same word again returns the
    voice that stands. Raises `ChangeRefused`, `ReasonMissing` and `DigestMismatch`.
    """
    if verdict not in ChangeVoice.Verdict.values:
        raise ChangeRefused("A verdict is either approve or refuse.")
    is_refusal = verdict == ChangeVoice.Verdict.REFUSE
    reason = people.reason_of(reason, of="A refusal", is_needed=is_refusal)
    with transaction.atomic():
        change = Change.objects.get(pk=change_id, tenant=tenant)
        before = ChangeVoice.objects.filter(change=change, person=person).first()
        if before is not None and (before.verdict, bytes(before.digest).hex()) == (verdict, digest):
            return before
        if because := why_not(change, person, is_refusal=is_refusal):
            raise ChangeRefused(because)
        if not hmac.compare_digest(bytes(change.digest).hex().encode(), digest.lower().encode()):
            raise DigestMismatch(
                "What you saw is not what this change is about; nothing was recorded. Look again."
            )
        sealed = seal(
            "placet/changevoice/v1",
            *(change.id, person.pk, verdict, words(reason), ""),
            digest=bytes(change.digest),
        )
        return ChangeVoice.objects.create(
            tenant=tenant,
            change=change,
            person=person,
            verdict=verdict,
            reason=reason,
            digest=bytes(change.digest),
            seal=sealed,
            at=timezone.now(),
        )


def why_not(change: Change, person: Any, *, is_refusal: bool = False) -> str:
    """Why this person may not say this of the change, in words; empty when they may."""
    if change.status != Change.Status.OPEN:
        return f"This change is {change.get_status_display().lower()}; nothing is left to say."
    if change.expires_at <= database_now():
        return "The time of this change is over."
    if change.voices.filter(person=person).exists():
        return "You have said what you think of it already."
    if is_refusal and person.pk == change.proposed_by_id:
        return ""
    return _why_no_voice(change, person, is_refusal)


def _why_no_voice(change: Change, person: Any, is_refusal: bool) -> str:
    if person.tenant != change.tenant or not people.has_role(person, people.ADMIN):
        return "Only admins decide about changes."
    if not is_refusal and people.human(person) == people.human(change.proposed_by):
        return "You proposed this, so the second voice must be another admin's."
    what = KINDS.get(change.kind)
    return "" if is_refusal or what is None else what.why_no_voice(body_of(change), person)


def is_due() -> Q:
    """The open changes about which there may be something to do."""
    said = ChangeVoice.objects.filter(change=OuterRef("pk"))
    return Q(Exists(said) | Q(expires_at__lte=Now()), status=Change.Status.OPEN)


def sweep() -> int:
    """Closes the changes on which the verdict is in; returns how many. For the gatekeeper."""
    due = Change.objects.filter(is_due()).order_by("proposed_at", "id")
    return sum(keep(id) for id in due.values_list("pk", flat=True)[: limits.SWEEP_BATCH])


def keep(change_id: UUID) -> bool:
    """Does what there is to do for one change; False when there is nothing."""
    with transaction.atomic():
        change = Change.objects.select_for_update(no_key=True).get(pk=change_id)
        if change.status != Change.Status.OPEN:
            return False
        refusals = change.voices.filter(verdict=ChangeVoice.Verdict.REFUSE)
        refuser = refusals.order_by("at").values_list("person_id", flat=True).first()
        if refuser is not None:
            is_own = refuser == change.proposed_by_id
            _close(change, Change.Status.WITHDRAWN if is_own else Change.Status.REFUSED)
        elif change.expires_at <= database_now():
            _close(change, Change.Status.EXPIRED)
        elif voices_of(change) >= limits.CHANGE_ADMINS:
            _carry_out(change)
        else:
            return False
    logger.info("change %s (%s) is %s", change.pk, change.kind, change.status)
    return True


def voices_of(change: Change) -> int:
    """How many admins, by humans, have agreed, the proposer included; as the lock counts them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT approvals_change_voices(c) FROM approvals_change c WHERE id = %s", [change.pk]
        )
        return int(cursor.fetchone()[0])


def _carry_out(change: Change) -> None:
    """Applied and in effect, or refused with the reason why it could not be; never in between."""
    body = body_of(change)
    try:
        with transaction.atomic():
            _close(change, Change.Status.APPLIED)
            what = KINDS.get(change.kind)
            if what is None:
                raise ChangeRefused(f"Nothing here can carry out {change.kind!r}.")
            what.check(change.tenant, body)
            what.apply(change, body)
    except (ApprovalsError, ProgrammingError, IntegrityError) as refusal:
        # The database's errors are what a lock has said. Any other leaves the change open.
        logger.error("change %s could not be carried out: %s", change.pk, refusal)
        said = str(refusal).partition("\n")[0]
        _close(change, Change.Status.REFUSED, error=said[: limits.MAX_REASON_CHARACTERS])


def _close(change: Change, status: str, *, error: str = "") -> None:
    Change.objects.filter(pk=change.pk).update(status=status, error=error)
    change.status, change.error = status, error
