"""Signatures over a challenge: passkeys (WebAuthn) and key files (Ed25519). Pure.

No row is read and nothing is remembered, so web, gatekeeper and executor each verify by
themselves, and a stranger can do it years later from what was kept. A passkey's counter is
not looked at: the challenge is that of one statement, so an old answer fits nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from webauthn import verify_authentication_response
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import AuthenticationCredential, AuthenticatorAssertionResponse

from approvals import limits
from approvals.errors import SignatureRefused

FILE_TAG = b"placet/key-file/v1\0"
USER_PRESENT, USER_VERIFIED = 0x01, 0x04
Kind = Literal["passkey", "file"]


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """What a signature is verified with. `public_key` is a COSE key (passkey) or 32 raw bytes."""

    kind: str
    credential_id: bytes
    public_key: bytes
    rp_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a key answered to a challenge; a key file answers with a signature alone."""

    signature: bytes
    client_data: bytes = b""
    authenticator_data: bytes = b""


def verify(key: PublicKey, answer: Answer, *, challenge: bytes, origins: Sequence[str]) -> None:
    """Raises `SignatureRefused` unless this key signed exactly this challenge (32 bytes).

    A passkey must have been used on a page of one of `origins`, by a person whom the
    authenticator verified (WebAuthn level 2, section 7.2).
    """
    parts = (answer.signature, answer.client_data, answer.authenticator_data)
    if max(map(len, parts)) > limits.MAX_SIGNED_BYTES:
        raise SignatureRefused(
            f"A part of the signature is longer than {limits.MAX_SIGNED_BYTES} bytes."
        )
    if key.kind == "file":
        _verify_file(key, answer, challenge)
    elif key.kind == "passkey":
        _verify_passkey(key, answer, challenge, origins)
    else:
        raise SignatureRefused(f"Nobody knows how a key of the kind {key.kind!r} signs.")


def signed_by_file(challenge: bytes) -> bytes:
    """The bytes that the key of a file signs: never those of another protocol."""
    return FILE_TAG + challenge


def _verify_file(key: PublicKey, answer: Answer, challenge: bytes) -> None:
    try:
        public = Ed25519PublicKey.from_public_bytes(key.public_key)
        public.verify(answer.signature, signed_by_file(challenge))
    except (InvalidSignature, ValueError):
        raise SignatureRefused(
            "The key file did not sign this: another key, or another statement."
        ) from None


def _verify_passkey(
    key: PublicKey, answer: Answer, challenge: bytes, origins: Sequence[str]
) -> None:
    check_client_data(answer.client_data, "webauthn.get", challenge, origins)
    _check_authenticator_data(answer.authenticator_data, key.rp_id)
    try:
        verify_authentication_response(
            credential=AuthenticationCredential(
                id=bytes_to_base64url(key.credential_id),
                raw_id=key.credential_id,
                response=AuthenticatorAssertionResponse(
                    client_data_json=answer.client_data,
                    authenticator_data=answer.authenticator_data,
                    signature=answer.signature,
                ),
            ),
            expected_challenge=challenge,
            expected_rp_id=key.rp_id,
            expected_origin=list(origins),
            credential_public_key=key.public_key,
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError) as error:
        raise SignatureRefused(f"The passkey did not sign this: {error}.") from error


def check_client_data(
    client_data: bytes, kind: str, challenge: bytes, origins: Sequence[str]
) -> None:
    """What the browser says that it asked the authenticator for, and on whose page.

    Raises `SignatureRefused`. The library checks the same except for a frame of another
    origin; here each refusal has its sentence.
    """
    told = _read(client_data)
    if told.get("type") != kind:
        raise SignatureRefused(f"The browser was asked for {told.get('type')!r}, not for {kind!r}.")
    if _bytes_of(told.get("challenge")) != challenge:
        raise SignatureRefused("What was signed is another statement than this one.")
    if told.get("origin") not in origins:
        raise SignatureRefused(
            f"It was signed on a page of {told.get('origin')}, which is not where Placet is."
        )
    if told.get("crossOrigin", False) is not False or "topOrigin" in told:
        raise SignatureRefused("It was signed in a frame on somebody else's page.")


def _check_authenticator_data(data: bytes, rp_id: str) -> None:
    if data[:32] != hashlib.sha256(rp_id.encode()).digest():
        raise SignatureRefused(f"The passkey was asked in another name than {rp_id}.")
    flags = data[32] if len(data) > 32 else 0
    if not flags & USER_PRESENT or not flags & USER_VERIFIED:
        raise SignatureRefused(
            "The passkey did not verify who used it (by PIN, finger or face), so it counts for"
            " nobody."
        )


def _read(client_data: bytes) -> dict[str, Any]:
    try:
        told = json.loads(client_data)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise SignatureRefused("What the browser says of the signature cannot be read.")
    return told


def _bytes_of(text: Any) -> bytes | None:
    try:
        return base64url_to_bytes(text) if isinstance(text, str) else None
    except ValueError:
        return None
