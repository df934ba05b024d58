"""What is true of a key before it is written: its owner holds it, and an older key vouches. Pure.

Web looks at it to answer at once, the gatekeeper looks again and believes only itself.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from webauthn import verify_registration_response
from webauthn.helpers import bytes_to_base64url, parse_attestation_object
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import AuthenticatorAttestationResponse, RegistrationCredential

from approvals import limits
from approvals.errors import KeyRefused, SignatureRefused
from approvals.signatures import PublicKey, check_client_data
from runs import canonical

INTRODUCTION_TAG = b"placet/introduction/v1\0"
FILE_KEY_BYTES = 32
ALGORITHMS = [
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]


@dataclass(frozen=True, kw_only=True)
class Enrolment:
    """What a person's authenticator answered, or the public key of a file of theirs."""

    kind: str
    challenge: bytes = b""
    client_data: bytes = b""
    attestation: bytes = b""
    public_key: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Enrolled:
    """A key that was verified, and the page on which a passkey was made."""

    key: PublicKey
    origin: str


def verify_enrolment(enrolment: Enrolment, *, origins: Sequence[str]) -> Enrolled:
    """The key that this enrolment is about. Raises `KeyRefused`, `SignatureRefused`.

    A passkey: made for this challenge, on a page of one of `origins`, by a person whom the
    authenticator verified (WebAuthn level 2, section 7.1). Which make of authenticator it is,
    is not asked. A file needs no proof of possession: what it signs names the person, so
    whoever enrols somebody else's public key can sign nothing with it.
    """
    if enrolment.kind == "file":
        return _file(enrolment.public_key)
    if enrolment.kind == "passkey":
        return _passkey(enrolment, origins)
    raise KeyRefused(f"There are no keys of the kind {enrolment.kind!r}.")


def introduction_challenge(*, tenant: str, person_id: int, enrolment: Enrolment) -> bytes:
    """What an older key of the person signs, so that a new one counts at once (32 bytes)."""
    about = enrolment.attestation or enrolment.public_key
    told = canonical.encode(
        {
            "v": 1,
            "purpose": "placet/introduction",
            "tenant": tenant,
            "person": person_id,
            "kind": enrolment.kind,
            "key": hashlib.sha256(about).hexdigest(),
        }
    )
    return hashlib.sha256(INTRODUCTION_TAG + told).digest()


def host_of(origin: str) -> str:
    """The name in whose name a passkey of this origin signs. Raises `KeyRefused`."""
    host = urlsplit(origin).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host
    raise KeyRefused(f"Passkeys need a name, and {host} is a number; open Placet under its name.")


def _file(public_key: bytes) -> Enrolled:
    try:
        Ed25519PublicKey.from_public_bytes(public_key)
    except ValueError:
        raise KeyRefused("This is no public key as `manage.py key` prints it.") from None
    return Enrolled(
        key=PublicKey(
            kind="file",
            credential_id=hashlib.sha256(public_key).digest(),
            public_key=public_key,
        ),
        origin="",
    )


def _passkey(enrolment: Enrolment, origins: Sequence[str]) -> Enrolled:
    _check_length(enrolment)
    check_client_data(enrolment.client_data, "webauthn.create", enrolment.challenge, origins)
    origin = str(json.loads(enrolment.client_data)["origin"])
    rp_id = host_of(origin)
    try:
        made = parse_attestation_object(enrolment.attestation).auth_data.attested_credential_data
        if made is None:
            raise KeyRefused("The authenticator made no passkey.")
        verified = verify_registration_response(
            credential=RegistrationCredential(
                id=bytes_to_base64url(made.credential_id),
                raw_id=made.credential_id,
                response=AuthenticatorAttestationResponse(
                    client_data_json=enrolment.client_data,
                    attestation_object=enrolment.attestation,
                ),
            ),
            expected_challenge=enrolment.challenge,
            expected_rp_id=rp_id,
            expected_origin=list(origins),
            require_user_verification=True,
            supported_pub_key_algs=ALGORITHMS,
        )
    except (WebAuthnException, ValueError) as error:
        raise KeyRefused(f"The passkey cannot be enrolled: {error}.") from error
    return Enrolled(
        key=PublicKey(
            kind="passkey",
            credential_id=verified.credential_id,
            public_key=verified.credential_public_key,
            rp_id=rp_id,
        ),
        origin=origin,
    )


def _check_length(enrolment: Enrolment) -> None:
    if len(enrolment.attestation) > limits.MAX_ATTESTATION_BYTES:
        raise KeyRefused(
            f"What the authenticator says is {len(enrolment.attestation)} bytes long; at most"
            f" {limits.MAX_ATTESTATION_BYTES} are read."
        )
    if max(len(enrolment.client_data), len(enrolment.challenge)) > limits.MAX_SIGNED_BYTES:
        raise SignatureRefused(
            f"A part of the signature is longer than {limits.MAX_SIGNED_BYTES} bytes."
        )
