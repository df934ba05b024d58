"""Decisions that keys signed: what web records, and what gatekeeper and executor find in it."""

from __future__ import annotations

import dataclasses
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from approvals import counting, signing
from approvals.decisions import decide
from approvals.errors import SignatureRefused
from approvals.models import Decision, Gate, Key
from approvals.signing import Signed
from runs.clock import database_now
from tests.approvals.attacks import fact_of, forged, parked_at, proper_seal, refusal
from tests.approvals.authenticator import KeyFile, Passkey
from tests.approvals.enrolled import enrol, revoke, season, signed
from tests.approvals.proposals import vouched
from tests.harness import World, admin, as_role

DEVICES = pytest.mark.parametrize("kind", [Passkey, KeyFile], ids=["passkey", "file"])


def approve(gate: Gate, person: Any, by: Signed | None, **given: str) -> Decision:
    told = {"verdict": "approve", "reason": "", "typed_fact": fact_of(gate)} | given
    with as_role("placet_web"):
        return decide(
            gate_id=gate.id,
            tenant=gate.tenant,
            person=person,
            digest=bytes(gate.digest).hex(),
            signed=by,
            **told,
        )


def no(gate: Gate, person: Any, by: Signed | None, **given: str) -> str:
    with pytest.raises(SignatureRefused) as refused:
        approve(gate, person, by, **given)
    assert not Decision.objects.filter(gate=gate).exists()
    return str(refused.value)


def found(decision: Decision, role: str = "placet_executor", **given: Any) -> str:
    """What the gatekeeper or the executor finds, by itself."""
    with as_role(role):
        heard = counting.heard_at(Decision.objects.get(pk=decision.pk).gate)
        (row,) = (one.decision for one in heard if one.decision.pk == decision.pk)
        asked = {"tier": row.gate.tier, "digest": bytes(row.digest), "at": database_now()} | given
        return signing.why_unsigned(
            row, on_behalf_of_id=None, typed=row.typed, origins=settings.PLACET_ORIGINS, **asked
        )


def is_signed(decision: Decision, tier: str = "passkey") -> bool:
    """What lock 2 asks the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT approvals_is_signed(d, %s) FROM approvals_decision d WHERE id = %s",
            [tier, decision.pk],
        )
        return bool(cursor.fetchone()[0])


@DEVICES
def test_what_a_key_signed_is_kept_and_counts_for_everybody_who_looks(
    world: World, kind: Any
) -> None:
    gate, device = parked_at(world, "passkey"), kind()
    key = enrol(world.bob, device)
    by = signed(gate, world.bob, key, device, reason="Checked.")

    decision = approve(gate, world.bob, by, reason="  Checked. ")

    assert (decision.method, decision.key) == (key.kind, key)
    assert bytes(decision.signature) == by.answer.signature
    assert bytes(decision.client_data) == by.answer.client_data
    assert found(decision, "placet_gatekeeper") == found(decision) == ""
    assert is_signed(decision)


def test_an_approval_above_the_lowest_tier_needs_a_signature_and_a_denial_never(
    world: World,
) -> None:
    for tier in ("passkey", "typed", "critical"):
        gate = parked_at(world, tier)
        assert "must be signed with a passkey or a key file" in no(gate, world.bob, None)
        denial = approve(gate, world.bob, None, verdict="deny", reason="Not ours.")
        assert (denial.method, denial.key) == ("confirm", None)
    unsigned = approve(parked_at(world, "confirm"), world.bob, None)
    assert found(unsigned) == "" and is_signed(unsigned, "confirm")
    said = found(unsigned, tier="passkey")
    assert said == "A key must sign an approval here." and not is_signed(unsigned)


@DEVICES
@pytest.mark.parametrize(
    "changed",
    [
        {"digest": bytes(32)},
        {"verdict": "deny"},
        {"reason": "Other words."},
        {"typed": "50.00"},
        {"on_behalf_of_id": 1},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_signature_for_anything_else_decides_nothing(
    world: World, kind: Any, changed: Any
) -> None:
    gate, device = parked_at(world, "passkey"), kind()
    key = enrol(world.bob, device)
    assert "another statement" in no(
        gate, world.bob, signed(gate, world.bob, key, device, **changed)
    )
    assert approve(gate, world.bob, signed(gate, world.bob, key, device))


def test_a_passkey_that_was_used_otherwise_decides_nothing(world: World) -> None:
    gate, device = parked_at(world, "passkey"), Passkey()
    key = enrol(world.bob, device)
    for changed, said in (
        ({"origin": "https://placet.example"}, "which is not where Placet is"),
        ({"flags": 0x01}, "did not verify who used it"),
        ({"private": Passkey().private}, "did not sign this"),
    ):
        other = dataclasses.replace(device, **changed)  # type: ignore[arg-type]
        assert said in no(gate, world.bob, signed(gate, world.bob, key, other))
    assert approve(gate, world.bob, signed(gate, world.bob, key, device))


def test_a_signature_is_for_one_gate_and_one_person(world: World) -> None:
    device, hers = Passkey(), Passkey()
    key, carols = enrol(world.bob, device), enrol(world.carol, hers)
    gate, other = parked_at(world, "passkey"), parked_at(world, "passkey")
    by = signed(gate, world.bob, key, device)
    assert "another statement" in no(other, world.bob, by)
    assert "none of yours" in no(gate, world.carol, by)
    # Carol's key, but what it signed is Bob's verdict.
    assert "another statement" in no(gate, world.carol, signed(gate, world.bob, carols, hers))
    assert "did not sign this" in no(gate, world.bob, signed(gate, world.bob, key, hers))
    assert approve(gate, world.bob, by)


def test_a_fresh_key_and_a_revoked_one_decide_nothing(world: World) -> None:
    gate, device = parked_at(world, "typed"), Passkey()
    key = enrol(world.bob, device)
    by = signed(gate, world.bob, key, device)
    assert "is fresh: for a request as high as this" in no(gate, world.bob, by)
    season(key)
    second, lower = KeyFile(), parked_at(world, "passkey")
    waiting = enrol(world.bob, second)
    assert "no older key signed for it" in no(
        lower, world.bob, signed(lower, world.bob, waiting, second)
    )
    revoke(waiting, world.bob)
    assert "none of yours, or was revoked" in no(
        lower, world.bob, signed(lower, world.bob, waiting, second)
    )
    decision = approve(gate, world.bob, by)
    assert found(decision, tier="critical") == "" and is_signed(decision, "critical")


def test_what_a_fresh_key_signed_does_not_count_later_for_a_high_tier(world: World) -> None:
    gate, device = parked_at(world, "passkey"), Passkey()
    key = enrol(world.bob, device)
    decision = approve(gate, world.bob, signed(gate, world.bob, key, device))
    assert vouched(world, key).status == "applied"
    assert found(decision) == "" and is_signed(decision)
    assert "is fresh" in found(decision, tier="typed") and not is_signed(decision, "typed")


def test_a_key_that_was_revoked_before_the_payment_left_takes_its_approvals_along(
    world: World,
) -> None:
    gate, device = parked_at(world, "passkey"), Passkey()
    key = enrol(world.bob, device)
    decision = approve(gate, world.bob, signed(gate, world.bob, key, device))
    before = database_now()
    assert found(decision) == "" and is_signed(decision)
    revoke(key, world.erin)
    assert "was revoked" in found(decision) and not is_signed(decision)
    # What was spent before the revocation was rightly spent, and its retries go on.
    assert found(decision, at=before) == ""


@pytest.mark.parametrize(
    "forgery",
    [
        "verdict = 'deny'",
        "reason = 'Other words.'",
        "digest = sha256('x')",
        "signature = sha256('x')",
        "client_data = sha256('x')",
        "authenticator_data = sha256('x')",
        "signature = NULL",
        "key_id = NULL, signature = NULL, method = 'confirm'",
        "method = 'file'",
        "gate_id = (SELECT id FROM approvals_gate WHERE id <> gate_id)",
        "person_id = (SELECT id FROM console_user WHERE username = 'carol')",
        "key_id = (SELECT k.id FROM approvals_key k WHERE k.person_id <> approvals_decision"
        ".person_id)",
        "key_id = (SELECT k.id FROM approvals_key k WHERE k.person_id <> approvals_decision"
        ".person_id), person_id = (SELECT id FROM console_user WHERE username = 'carol')",
    ],
)
def test_a_row_that_was_rewritten_past_every_guard_is_found_by_its_signature(
    world: World, forgery: str
) -> None:
    """As the superuser of the database could."""
    gate, device = parked_at(world, "passkey"), Passkey()
    parked_at(world, "passkey")
    key = enrol(world.bob, device)
    enrol(world.carol, Passkey())
    decision = approve(gate, world.bob, signed(gate, world.bob, key, device))
    assert found(decision) == ""
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(f"UPDATE approvals_decision SET {forgery} WHERE id = %s", [decision.pk])
    assert found(decision) != ""
    assert found(decision, "placet_gatekeeper") != ""


def test_the_gatekeeper_clears_nothing_on_a_signature_that_nobody_made(world: World) -> None:
    """The database counts that there is a signature; whether it is one, the gatekeeper says."""
    gate, device = parked_at(world, "passkey"), Passkey()
    key = enrol(world.bob, device)
    decision = approve(gate, world.bob, signed(gate, world.bob, key, device))
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE approvals_decision SET signature = sha256('x')")
    assert is_signed(decision)
    world.keep_gates()
    gate.refresh_from_db()
    assert (gate.status, gate.step.status) == ("open", "held")


def with_key(gate: Gate, person: Any, key: Key | None, **changed: Any) -> Any:
    """SQL of the web role that has stolen the seal key as well."""
    sql, values = forged(gate, person, seal=proper_seal(gate, person))
    given = {"method": "passkey", "signature": b"x"} | changed
    sql = (
        sql.replace("'confirm'", "%s")
        .replace("decided_at, writer)", "decided_at, writer, key_id, signature)")
        .replace("now(), '')", "now(), '', %s, %s)")
    )
    values = [*values[:6], given["method"], *values[6:]]
    return sql, [*values, key.pk if key else None, given["signature"]]


def test_no_row_names_a_key_that_is_not_the_persons_or_does_not_stand(world: World) -> None:
    gate = parked_at(world, "confirm")
    bobs, carols = enrol(world.bob, Passkey()), enrol(world.carol, Passkey())
    for attack, said in (
        (with_key(gate, world.bob, carols), "this is no key of the person who decides"),
        (with_key(gate, world.bob, bobs, method="file"), "this is no key of the person"),
        (with_key(gate, world.bob, bobs, signature=None), "this is no key of the person"),
        (with_key(gate, world.bob, None), "a signature needs the key that made it"),
        (with_key(gate, world.bob, None, method="confirm"), "a signature needs the key"),
    ):
        assert f"decision key: {said}" in refusal(world, "placet_web", attack)
    with as_role("placet_web"), connection.cursor() as cursor:
        cursor.execute(*with_key(gate, world.bob, bobs))
    decision = Decision.objects.get()
    # It stands in the table, and it is worth nothing: no key signed it.
    assert "cannot be read" in found(decision)
    revoke(carols, world.carol)
    assert "decision key: the key was revoked" in refusal(
        world, "placet_web", with_key(gate, world.carol, carols)
    )


def test_a_revocation_waits_for_a_decision_under_way(world: World) -> None:
    gate, device = parked_at(world, "confirm"), Passkey()
    key = enrol(world.bob, device)
    url = world.servers.database_url("placet_web")
    with psycopg.connect(url) as deciding:
        deciding.execute(*with_key(gate, world.bob, key))
        with psycopg.connect(url) as probe:
            probe.execute("SET lock_timeout = '200ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                probe.execute(
                    "INSERT INTO approvals_keyrevocation (key_id, tenant, person_id, reason,"
                    " seal, revoked_at, writer) VALUES (%s, %s, %s, '', '', now(), '')",
                    [key.pk, key.tenant, world.bob.pk],
                )
        deciding.commit()
    revoke(key, world.bob)
    assert "decision key: the key was revoked" in refusal(
        world, "placet_web", with_key(parked_at(world, "confirm"), world.bob, key)
    )
