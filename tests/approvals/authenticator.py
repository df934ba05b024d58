"""A passkey in software, as an authenticator and a browser would have it; and a key file."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from webauthn.helpers import bytes_to_base64url, encode_cbor

from approvals.enrolment import Enrolment
from approvals.signatures import Answer, PublicKey, signed_by_file

ORIGIN = "http://localhost:8000"
PRESENT_AND_VERIFIED, MADE = 0x05, 0x40


@dataclass
class Passkey:
    """Each field is what an attacker could change."""

    origin: str = ORIGIN
    rp_id: str = "localhost"
    flags: int = PRESENT_AND_VERIFIED
    kind: str = "webauthn.get"
    told: dict[str, Any] = field(default_factory=dict)
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    @property
    def cose(self) -> bytes:
        point = self.private.public_key().public_numbers()
        x, y = (n.to_bytes(32, "big") for n in (point.x, point.y))
        return encode_cbor({1: 2, 3: -7, -1: 1, -2: x, -3: y})

    @property
    def public(self) -> PublicKey:
        return PublicKey(
            kind="passkey",
            credential_id=self.credential_id,
            public_key=self.cose,
            rp_id="localhost",
        )

    def sign(self, challenge: bytes) -> Answer:
        client_data = self._client_data(challenge, self.kind)
        data = self._data(self.flags)
        signed = data + hashlib.sha256(client_data).digest()
        signature = self.private.sign(signed, ec.ECDSA(hashes.SHA256()))
        return Answer(signature=signature, client_data=client_data, authenticator_data=data)

    def enrol(self, challenge: bytes) -> Enrolment:
        made = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id
        data = self._data(self.flags | MADE) + made + self.cose
        attestation = encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        return Enrolment(
            kind="passkey",
            challenge=challenge,
            client_data=self._client_data(challenge, "webauthn.create"),
            attestation=attestation,
        )

    def _client_data(self, challenge: bytes, kind: str) -> bytes:
        told = {"type": kind, "challenge": bytes_to_base64url(challenge), "origin": self.origin}
        return json.dumps({**told, "crossOrigin": False, **self.told}).encode()

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + bytes(4)


@dataclass
class KeyFile:
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def public(self) -> PublicKey:
        raw = self.private.public_key().public_bytes_raw()
        return PublicKey(kind="file", credential_id=hashlib.sha256(raw).digest(), public_key=raw)

    def sign(self, challenge: bytes) -> Answer:
        return Answer(signature=self.private.sign(signed_by_file(challenge)))

    def enrol(self, challenge: bytes = b"") -> Enrolment:
        return Enrolment(kind="file", public_key=self.public.public_key)
