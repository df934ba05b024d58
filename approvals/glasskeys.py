"""The two signatures that break the glass: taken in web, verified by gatekeeper and executor.

The gatekeeper writes down what it found (`BreakGlassProof`), and only then the two count; the
executor believes neither that row nor web, and verifies both signatures again (see `counting`).
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from approvals import limits, people, signing, statements
from approvals.errors import BreakGlassRefused, SignatureRefused
from approvals.models import (
    BreakGlass,
    BreakGlassConfirmation,
    BreakGlassProof,
    Key,
)
from approvals.signing import Signed
from runs.clock import database_now
from runs.models import new_id

logger = logging.getLogger(__name__)

TIER = "critical"
"""A key breaks the glass when it could sign for the highest tier: no fresh one does."""
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def asked(
    *,
    tenant: str,
    person: Any,
    scope: str,
    subject: str,
    minutes: int,
    reason: str,
    id: UUID | None = None,
) -> BreakGlass:
    """What would be opened, checked and not recorded: of it a key signs.

    Raises `BreakGlassRefused` and `ReasonMissing`.
    """
    reason = people.reason_of(reason, of="Breaking the glass")
    subject = _subject(scope, subject)
    if not 1 <= minutes <= limits.BREAKGLASS_MINUTES:
        raise BreakGlassRefused(
            f"The glass is broken for 1 to {limits.BREAKGLASS_MINUTES} minutes."
        )
    return BreakGlass(
        id=id or new_id(),
        tenant=tenant,
        scope=scope,
        subject=subject,
        reason=reason,
        minutes=minutes,
        opened_by=person,
    )


def _subject(scope: str, subject: str) -> str:
    if scope not in BreakGlass.Scope.values:
        raise BreakGlassRefused("The glass is broken for everything, a tool or a workflow.")
    if scope == BreakGlass.Scope.EVERYTHING:
        return ""
    if not subject.strip():
        raise BreakGlassRefused(f"Say for which {scope} the glass is to be broken.")
    if len(subject) > limits.MAX_FROZEN_CHARACTERS or not subject.isprintable():
        raise BreakGlassRefused(
            f"The {scope} has at most {limits.MAX_FROZEN_CHARACTERS} printable characters."
        )
    return subject.strip()


def opening_statement(glass: BreakGlass) -> bytes:
    """What who opens it signs, as bytes that every surface can rebuild."""
    return statements.glass_statement(**_told(glass, glass.opened_by_id))


def opening_challenge(glass: BreakGlass) -> bytes:
    """What the key of who opens it signs (32 bytes)."""
    return statements.glass_challenge(opening_statement(glass))


def confirming_challenge(glass: BreakGlass, person_id: int) -> bytes:
    """What the key of the second signs (32 bytes): the same, and the first one's challenge."""
    told = _told(glass, person_id)
    first = opening_challenge(glass)
    return statements.glass_challenge(statements.glass_statement(**told, first=first))


def _told(glass: BreakGlass, person_id: int) -> dict[str, Any]:
    names = ("id", "tenant", "scope", "subject", "minutes", "reason")
    return {name: getattr(glass, name) for name in names} | {"person_id": person_id}


def check_moment(id: UUID, at: datetime) -> None:
    """Raises `SignatureRefused` where a glass of this id was not asked for about `at`.

    The id tells when it was made (RFC 9562, version 7) and is signed with the rest, so that
    nobody keeps a signature back to open the glass with it on another day.
    """
    told, seconds = id.int >> 80, limits.BREAKGLASS_CONFIRM_SECONDS
    if id.version != 7 or abs((at - EPOCH) // timedelta(milliseconds=1) - told) > seconds * 1000:
        raise SignatureRefused(
            "It was signed too long ago, and nothing was opened. Open the page again and sign."
        )


def kept(signed: Signed | None, person: Any, challenge: bytes) -> dict[str, Any]:
    """The columns that keep a signature, once this person's key has signed exactly this.

    Raises `SignatureRefused`; then nothing is to be recorded.
    """
    if signed is None:
        raise SignatureRefused(
            "The glass is broken with a passkey or a key file of yours; nothing was recorded."
            " Enrol one on the page of your keys."
        )
    key = signing.signer_of(
        signed, person=person, tier=TIER, challenge=challenge, origins=settings.PLACET_ORIGINS
    )
    return {"key": key.pk, **signing.columns_of(signed.answer)}


def why_unproven(glass: BreakGlass, second: BreakGlassConfirmation, *, at: datetime) -> str:
    """Why these two have not broken the glass, in words; empty when both keys signed for it.

    `at` is the moment at which neither key must be revoked. Nothing of the rows is believed
    but what the keys signed.
    """
    try:
        check_moment(glass.pk, glass.opened_at)
    except SignatureRefused as refused:
        return str(refused)
    parts = (
        (glass, glass.opened_by_id, glass.opened_at, opening_challenge(glass)),
        (second, second.person_id, second.at, confirming_challenge(glass, second.person_id)),
    )
    for row, person_id, signed_at, challenge in parts:
        if because := _why_not(row, person_id, signed_at, challenge, at):
            return because
    return ""


def _why_not(
    row: BreakGlass | BreakGlassConfirmation,
    person_id: int,
    signed_at: datetime,
    challenge: bytes,
    at: datetime,
) -> str:
    own = Key.objects.filter(tenant=row.tenant, person_id=person_id)
    key = own.filter(pk=row.key).first() if row.key else None
    if key is None:
        return "A key of each of the two must sign, and one of them has none that did."
    return signing.why_not_by(
        key,
        row,
        tier=TIER,
        signed_at=signed_at,
        at=at,
        challenge=challenge,
        origins=settings.PLACET_ORIGINS,
    )


def is_proven(glass_id: UUID, *, at: datetime) -> bool:
    """For the executor: whether both signatures hold, read and verified here."""
    glass = BreakGlass.objects.filter(pk=glass_id).first()
    second = BreakGlassConfirmation.objects.filter(breakglass_id=glass_id).first()
    return glass is not None and second is not None and not why_unproven(glass, second, at=at)


def keep(glass_id: UUID) -> bool:
    """The gatekeeper's verb: verifies one that was confirmed, and writes down what it found.

    False where there is nothing to do.
    """
    found = _unverified().filter(pk=glass_id).select_related("breakglass").first()
    if found is None:
        return False
    now = database_now()
    because = why_unproven(found.breakglass, found, at=now)
    if found.until <= now:
        because = because or "Its time was over before its signatures could be verified."
    proof = BreakGlassProof(breakglass_id=glass_id, tenant=found.tenant, because=because[:255])
    # Two gatekeepers may look at once: the rows that they look at never change.
    BreakGlassProof.objects.bulk_create([proof], ignore_conflicts=True)
    if because:
        logger.warning("The glass %s stays whole: %s", glass_id, because)
    else:
        logger.warning("The glass %s is broken until %s", glass_id, found.until)
    return True


def due(most: int) -> list[UUID]:
    """Those that were confirmed and wait to be verified, the oldest first."""
    return list(_unverified().order_by("at").values_list("pk", flat=True)[:most])


def _unverified() -> QuerySet[BreakGlassConfirmation]:
    return BreakGlassConfirmation.objects.filter(
        breakglass__proof__isnull=True, breakglass__review__isnull=True
    )
