"""What a key signed, and everything that is not it. Each refusal differs from the good answer
in one thing alone."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals import statements
from approvals.errors import SignatureRefused
from approvals.signatures import Answer, PublicKey, verify
from tests.approvals.authenticator import ORIGIN, KeyFile, Passkey

DECIDED: dict[str, Any] = {
    "tenant": "acme",
    "gate_id": uuid.UUID(int=7),
    "digest": bytes(range(32)),
    "verdict": "approve",
    "person_id": 3,
    "on_behalf_of_id": None,
    "reason": "Matches the invoice.",
    "typed": "",
}
PASSKEY, FILE = Passkey(), KeyFile()
BOTH = pytest.mark.parametrize("key", [PASSKEY, FILE], ids=["passkey", "file"])


def challenge(**changed: Any) -> bytes:
    return statements.challenge(statements.statement(**(DECIDED | changed)))


def refusal(key: PublicKey, answer: Answer, asked: bytes | None = None) -> str:
    with pytest.raises(SignatureRefused) as refused:
        verify(key, answer, challenge=asked or challenge(), origins=[ORIGIN])
    return str(refused.value)


@BOTH
def test_what_the_key_signed_is_signed(key: Any) -> None:
    verify(key.public, key.sign(challenge()), challenge=challenge(), origins=[ORIGIN])


@BOTH
@pytest.mark.parametrize(
    "other",
    [
        {"digest": bytes(32)},
        {"verdict": "deny"},
        {"gate_id": uuid.UUID(int=8)},
        {"person_id": 4},
        {"on_behalf_of_id": 5},
        {"reason": "Other words."},
        {"typed": "98.70"},
        {"tenant": "others"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_signature_for_another_statement_is_none_for_this_one(key: Any, other: Any) -> None:
    signed = key.sign(challenge(**other))
    verify(key.public, signed, challenge=challenge(**other), origins=[ORIGIN])
    said = refusal(key.public, signed)
    assert "is another statement" in said or "another key, or another statement" in said


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"origin": "https://placet.example"}, "https://placet.example, which is not where Placet"),
        ({"flags": 0x01}, "did not verify who used it"),
        ({"flags": 0x04}, "did not verify who used it"),
        ({"rp_id": "placet.example"}, "in another name than localhost"),
        ({"kind": "webauthn.create"}, "was asked for 'webauthn.create'"),
        ({"kind": "payment.get"}, "was asked for 'payment.get'"),
        ({"told": {"crossOrigin": True}}, "in a frame on somebody else's page"),
        ({"told": {"topOrigin": ORIGIN}}, "in a frame on somebody else's page"),
        ({"private": Passkey().private}, "The passkey did not sign this"),
    ],
    ids=lambda one: one if isinstance(one, str) else next(iter(one)),
)
def test_a_passkey_that_was_used_otherwise_is_refused(changed: Any, said: str) -> None:
    other = dataclasses.replace(PASSKEY, **changed)
    assert said in refusal(PASSKEY.public, other.sign(challenge()))


def test_the_key_of_another_file_is_refused() -> None:
    assert "another key" in refusal(FILE.public, KeyFile().sign(challenge()))


def test_a_file_that_signed_the_bare_challenge_signed_nothing() -> None:
    bare = Answer(signature=FILE.private.sign(challenge()))
    assert "another key, or another statement" in refusal(FILE.public, bare)


def test_a_kind_that_nobody_knows_is_refused() -> None:
    unknown = dataclasses.replace(FILE.public, kind="retina")
    assert "'retina'" in refusal(unknown, FILE.sign(challenge()))


def test_what_is_too_long_is_not_read() -> None:
    long = dataclasses.replace(PASSKEY.sign(challenge()), client_data=b" " * 5_000)
    assert "longer than 4096 bytes" in refusal(PASSKEY.public, long)


GOOD = {key.public.kind: key.sign(challenge()) for key in (PASSKEY, FILE)}


@BOTH
@settings(database=None)
@given(data=st.data())
def test_no_flipped_bit_goes_unnoticed(key: Any, data: st.DataObject) -> None:
    good = GOOD[key.public.kind]
    parts = [f.name for f in dataclasses.fields(good) if getattr(good, f.name)]
    part = data.draw(st.sampled_from(parts))
    told = bytearray(getattr(good, part))
    bit = data.draw(st.integers(0, len(told) * 8 - 1))
    told[bit // 8] ^= 1 << bit % 8
    refusal(key.public, dataclasses.replace(good, **{part: bytes(told)}))
