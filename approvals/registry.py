"""The registry of keys: asked for in web, written by the gatekeeper, revoked by people.

Neither web nor worker can write a key. Web writes down, under its seal, what a signed-in
person's authenticator answered; the gatekeeper verifies that answer by itself.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from approvals import limits, people, signatures
from approvals.asking import username
from approvals.enrolment import Enrolment, introduction_challenge, verify_enrolment
from approvals.errors import DecisionRefused, KeyRefused, SignatureRefused
from approvals.keys import may_sign, public_key_of
from approvals.models import Key, KeyRequest, KeyRevocation
from approvals.seals import seal, words
from approvals.signatures import Answer
from runs import dispatch
from runs.clock import database_now

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Introduction:
    """An older key of the person, and its signature over `enrolment.introduction_challenge`."""

    key_id: UUID
    answer: Answer


def request_key(
    *, person: Any, name: str, enrolment: Enrolment, introduction: Introduction | None = None
) -> KeyRequest:
    """Writes down what a signed-in person wants enrolled, if it would be as things stand.

    Raises `KeyRefused` or `SignatureRefused` with a sentence; then nothing was recorded.
    """
    request = KeyRequest(
        tenant=person.tenant,
        person=person,
        kind=enrolment.kind,
        name=_checked_name(name),
        challenge=enrolment.challenge,
        client_data=enrolment.client_data,
        attestation=enrolment.attestation,
        public_key=enrolment.public_key,
    )
    if introduction is not None:
        request.introduced_by_id = introduction.key_id
        request.introduction_client_data = introduction.answer.client_data
        request.introduction_authenticator_data = introduction.answer.authenticator_data
        request.introduction_signature = introduction.answer.signature
    _verified(request)
    request.seal = seal_request(request)
    with transaction.atomic():
        request.save(force_insert=True)
        dispatch.hint("gates", request.id)
    return request


def register_key(request_id: UUID) -> Key | None:
    """The gatekeeper's verb: verifies a request, then writes the key, or why not.

    None where nothing is left to do, and where the request was refused.
    """
    with transaction.atomic():
        open_requests = KeyRequest.objects.filter(key__isnull=True, refused_because="")
        request = (
            open_requests.select_for_update(no_key=True, of=("self",)).filter(pk=request_id).first()
        )
        if request is None:
            return None
        try:
            key = _verified(request)
        except (KeyRefused, SignatureRefused) as refused:
            KeyRequest.objects.filter(pk=request.pk).update(refused_because=str(refused)[:255])
            logger.warning("The key request %s was refused: %s", request.id, refused)
            return None
        key.save(force_insert=True)
    key.refresh_from_db()
    logger.info("the key %s of person %s is enrolled", key.id, key.person_id)
    return key


def open_requests(most: int) -> list[UUID]:
    """Requests that the gatekeeper has not answered, the oldest first."""
    found = KeyRequest.objects.filter(key__isnull=True, refused_because="").order_by("id")
    return list(found.values_list("id", flat=True)[:most])


def revoke_key(*, key: Key, person: Any, reason: str = "") -> KeyRevocation:
    """The person whose key it is, or an admin, ends it: it signs nothing from now on.

    Again is the revocation that stands. Raises `KeyRefused`.
    """
    reason = reason.strip()
    if len(reason) > limits.MAX_REASON_CHARACTERS or "\0" in reason:
        raise KeyRefused(
            f"A reason has at most {limits.MAX_REASON_CHARACTERS} characters, and no NUL."
        )
    before = KeyRevocation.objects.filter(key=key).first()
    return before or KeyRevocation.objects.create(
        tenant=key.tenant,
        key=key,
        person=person,
        reason=reason,
        seal=_sealed("placet/key-revocation/v1", key.pk, person.pk, words(reason)),
    )


def vouching(key: Key) -> dict[str, Any]:
    """What a change says that vouches for a key."""
    return {"key": str(key.pk), "name": key.name, "person": username(key.person_id)}


def check_vouching(tenant: str, body: dict[str, Any]) -> None:
    """Raises `KeyRefused` where nothing is to be vouched for, or not what people would read."""
    key = _waiting(tenant, body).first()
    if key is None:
        raise KeyRefused("There is no such key, or it does not wait any more, or was revoked.")
    if body != vouching(key):
        raise KeyRefused("This is not what the key is called, or not whose it is.")


def why_not_vouch(body: dict[str, Any], person: Any) -> str:
    """Why this person's word is none for this key; empty when it is. As the lock has it."""
    key = Key.objects.filter(pk=body["key"]).select_related("person").first()
    if key is not None and people.human(key.person) == people.human(person):
        return "It is a key of yours, so two other admins vouch for it."
    return ""


def carry_out_vouching(tenant: str, body: dict[str, Any]) -> None:
    """Ends the waiting time of a key; for the gatekeeper, within a change: the database refuses
    it outside of one."""
    _waiting(tenant, body).update(vouched_at=Now())


def _waiting(tenant: str, body: dict[str, Any]) -> QuerySet[Key]:
    return Key.objects.filter(
        tenant=tenant,
        pk=body["key"],
        vouched_at__isnull=True,
        seasoned_at__gt=Now(),
        revocation__isnull=True,
    )


def seal_request(request: KeyRequest) -> bytes:
    """The seal of what a signed-in person asked for; see `locks.keys`."""
    return _sealed(
        "placet/key-request/v1",
        *(request.id, request.person_id, request.kind, words(request.name)),
        *map(words, (request.challenge, request.client_data, request.attestation)),
        words(request.public_key),
        request.introduced_by_id or "",
    )


def _verified(request: KeyRequest) -> Key:
    """The key as it would be written. Raises `KeyRefused`, `SignatureRefused`."""
    enrolment = Enrolment(
        kind=request.kind,
        challenge=bytes(request.challenge),
        client_data=bytes(request.client_data),
        attestation=bytes(request.attestation),
        public_key=bytes(request.public_key),
    )
    enrolled = verify_enrolment(enrolment, origins=settings.PLACET_ORIGINS)
    own = Key.objects.filter(tenant=request.tenant, person_id=request.person_id)
    if own.filter(revocation__isnull=True).count() >= limits.MAX_KEYS:
        raise KeyRefused(f"One person has at most {limits.MAX_KEYS} keys; revoke one first.")
    if Key.objects.filter(credential_id=enrolled.key.credential_id).exists():
        raise KeyRefused("This key is enrolled already.")
    if request.introduced_by_id is not None:
        _check_introduction(request, enrolment)
    return Key(
        tenant=request.tenant,
        person_id=request.person_id,
        kind=request.kind,
        name=request.name,
        credential_id=enrolled.key.credential_id,
        public_key=enrolled.key.public_key,
        rp_id=enrolled.key.rp_id,
        origin=enrolled.origin,
        request=request,
        # Whoever once had a key and lost it is not trusted with another at once.
        is_introduced=request.introduced_by_id is not None or not own.exists(),
    )


def _check_introduction(request: KeyRequest, enrolment: Enrolment) -> None:
    older = Key.objects.filter(
        pk=str(request.introduced_by_id),
        tenant=request.tenant,
        person_id=request.person_id,
        revocation__isnull=True,
    ).first()
    if older is None:
        raise KeyRefused("The key that signed for this one is none of yours, or was revoked.")
    because = may_sign(older, "passkey", database_now())
    if because:
        raise KeyRefused(because)
    signatures.verify(
        public_key_of(older),
        Answer(
            signature=bytes(request.introduction_signature),
            client_data=bytes(request.introduction_client_data),
            authenticator_data=bytes(request.introduction_authenticator_data),
        ),
        challenge=introduction_challenge(
            tenant=request.tenant, person_id=request.person_id, enrolment=enrolment
        ),
        origins=settings.PLACET_ORIGINS,
    )


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or not name.isprintable() or len(name) > limits.MAX_KEY_NAME_CHARACTERS:
        raise KeyRefused(f"A key needs a name of 1 to {limits.MAX_KEY_NAME_CHARACTERS} characters.")
    return name


def _sealed(tag: str, *told: object) -> bytes:
    try:
        return seal(tag, *told)
    except DecisionRefused as refused:
        raise KeyRefused(str(refused)) from None
