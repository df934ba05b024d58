"""The registry of keys: how a key comes to count, and who cannot make one count."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from django.db import connection

from approvals import limits, registry
from approvals.errors import KeyRefused, SignatureRefused
from approvals.keys import keys_of, may_sign, standing_keys_of
from approvals.models import Key, KeyRequest, KeyRevocation
from runs.clock import database_now
from runs.models import new_id
from tests.approvals.attacks import ALL_PROCESSES, Attack, refusal
from tests.approvals.authenticator import KeyFile, Passkey
from tests.approvals.enrolled import ask, enrol, introduced, revoke, season
from tests.approvals.proposals import vouched
from tests.harness import World, admin, as_role


def refused(person: Any, device: Any, name: str = "My key", **given: Any) -> str:
    before = KeyRequest.objects.count()
    with pytest.raises((KeyRefused, SignatureRefused)) as no:
        ask(person, device, name, **given)
    assert KeyRequest.objects.count() == before
    return str(no.value)


# How a key comes to count


@pytest.mark.parametrize("device", [Passkey(), KeyFile()], ids=["passkey", "file"])
def test_the_gatekeeper_writes_the_key_that_a_person_asked_for(world: World, device: Any) -> None:
    request = ask(world.bob, device, "  Desk   key ")
    assert not Key.objects.exists()

    world.keep_gates()

    key = keys_of(world.bob).get()
    assert (key.name, key.person, key.request, key.writer) == (
        *("Desk key", world.bob, request),
        "placet_gatekeeper",
    )
    assert (key.seasoned_at - key.enrolled_at).total_seconds() == limits.KEY_WAITING_SECONDS
    assert bytes(key.public_key) == device.public.public_key
    assert world.keep_gates() == 0


def test_a_first_key_signs_at_once_but_not_for_the_high_tiers(world: World) -> None:
    key = enrol(world.bob, Passkey())
    at = database_now()
    assert [may_sign(key, tier, at) for tier in ("confirm", "passkey")] == ["", ""]
    for tier in ("typed", "critical"):
        assert "is fresh: for a request as high as this" in may_sign(key, tier, at)
    season(key)
    assert may_sign(key, "critical", database_now()) == ""
    # What was signed before the time was over does not become right by waiting.
    assert "is fresh" in may_sign(key, "critical", at.replace(year=at.year - 1))


def test_a_key_that_was_vouched_for_does_not_wait(world: World) -> None:
    key = enrol(world.bob, Passkey())
    before = database_now()
    assert "key vouch: two admins have not agreed" in refusal(
        world, "placet_gatekeeper", ("UPDATE approvals_key SET vouched_at = now()", [])
    )
    assert vouched(world, key).status == "applied"
    with pytest.raises(KeyRefused, match="does not wait any more"):
        registry.check_vouching(world.tenant, registry.vouching(key))
    key.refresh_from_db()
    assert may_sign(key, "critical", database_now()) == ""
    assert "is fresh" in may_sign(key, "critical", before)


def test_a_second_key_waits_unless_an_older_one_signs_for_it(world: World) -> None:
    first, second, third = Passkey(), Passkey(), KeyFile()
    older = enrol(world.bob, first)

    alone = enrol(world.bob, second, "Second")
    said = may_sign(alone, "passkey", database_now())
    assert "no older key signed for it" in said

    together = enrol(
        world.bob, third, "Third", introduction=introduced(older, first, world.bob, third)
    )
    assert may_sign(together, "passkey", database_now()) == ""
    assert "is fresh" in may_sign(together, "typed", database_now())


def test_who_revokes_every_key_of_a_person_does_not_make_the_next_one_the_first(
    world: World,
) -> None:
    revoke(enrol(world.bob, Passkey()), world.bob)
    again = enrol(world.bob, Passkey())
    assert "no older key signed for it" in may_sign(again, "passkey", database_now())


def test_an_introduction_is_by_an_older_key_of_the_same_person_over_this_very_key(
    world: World,
) -> None:
    bobs, carols, newer, other = Passkey(), Passkey(), Passkey(), Passkey()
    older, hers = enrol(world.bob, bobs), enrol(world.carol, carols)
    good = introduced(older, bobs, world.bob, newer)

    for introduction, said in (
        (introduced(older, bobs, world.bob, other), "another statement"),
        (introduced(older, carols, world.bob, newer), "did not sign this"),
        (introduced(hers, carols, world.bob, newer), "none of yours"),
        (
            introduced(older, dataclasses.replace(bobs, flags=0x01), world.bob, newer),
            "did not verify who used it",
        ),
    ):
        assert said in refused(world.bob, newer, introduction=introduction)
    waiting = enrol(world.bob, other)
    assert "no older key signed for it" in refused(
        world.bob, newer, introduction=introduced(waiting, other, world.bob, newer)
    )
    assert enrol(world.bob, newer, introduction=good).is_introduced
    revoke(older, world.bob)
    last = KeyFile()
    assert "none of yours, or was revoked" in refused(
        world.bob, last, introduction=introduced(older, bobs, world.bob, last)
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"origin": "https://placet.example"}, "which is not where Placet is"),
        ({"flags": 0x01}, "User verification is required"),
        ({"rp_id": "placet.example"}, "Unexpected RP ID hash"),
        ({"told": {"type": "webauthn.get"}}, "was asked for 'webauthn.get'"),
        ({"told": {"challenge": "AAAA"}}, "another statement"),
        ({"told": {"crossOrigin": True}}, "in a frame on somebody else's page"),
    ],
    ids=str,
)
def test_a_passkey_that_was_made_otherwise_is_not_asked_for(
    world: World, changed: Any, said: str
) -> None:
    passkey = Passkey()
    assert said in refused(world.bob, dataclasses.replace(passkey, **changed))
    assert enrol(world.bob, passkey)


def test_the_gatekeeper_believes_nothing_that_web_wrote(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the process of web, seal key and all, were an attacker's."""
    monkeypatch.setattr(registry, "_verified", lambda request: None)
    request = ask(world.bob, dataclasses.replace(Passkey(), flags=0x01))
    monkeypatch.undo()

    world.keep_gates()

    request.refresh_from_db()
    assert "User verification is required" in request.refused_because
    assert not Key.objects.exists()
    assert world.keep_gates() == 0


def test_a_number_is_no_name_for_a_passkey(world: World, settings_origins: Any) -> None:
    settings_origins(["http://127.0.0.1:8000"])
    numbered = Passkey(origin="http://127.0.0.1:8000", rp_id="127.0.0.1")
    assert "127.0.0.1 is a number" in refused(world.bob, numbered)


@pytest.mark.parametrize("name", ["", " ", "x" * 61, "a\0b", "a\u202eb"])
def test_a_key_has_a_name_that_can_be_read(world: World, name: str) -> None:
    assert "needs a name of 1 to 60 characters" in refused(world.bob, KeyFile(), name)
    assert enrol(world.bob, KeyFile(), "x" * 60)


def test_a_key_is_enrolled_once_and_a_person_has_ten_of_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = KeyFile()
    key = enrol(world.bob, device)
    assert "is enrolled already" in refused(world.carol, device)
    monkeypatch.setattr(limits, "MAX_KEYS", 1)
    assert "at most 1 keys; revoke one first" in refused(world.bob, KeyFile())
    revoke(key, world.bob)
    assert enrol(world.bob, KeyFile())


def test_two_requests_for_one_key_make_one_key(world: World) -> None:
    device = KeyFile()
    first, second = ask(world.bob, device), ask(world.carol, device)
    world.keep_gates()
    assert Key.objects.get().request == first
    second.refresh_from_db()
    assert second.refused_because == "This key is enrolled already."


# Who cannot make one count


def forged_request(person: Any, device: KeyFile) -> Attack:
    return (
        "INSERT INTO approvals_keyrequest (id, tenant, person_id, kind, name, challenge,"
        " client_data, attestation, public_key, introduction_client_data,"
        " introduction_authenticator_data, introduction_signature, seal, asked_at, writer,"
        " refused_because)"
        " VALUES (%s, %s, %s, 'file', 'Forged', '', '', '', %s, '', '', '', %s, now(), '', '')",
        [new_id(), person.tenant, person.pk, device.public.public_key, b"x" * 32],
    )


def forged_key(request: KeyRequest, device: Any, **changed: Any) -> Attack:
    given: dict[str, Any] = {
        "id": new_id(),
        "tenant": request.tenant,
        "person_id": request.person_id,
        "kind": request.kind,
        "name": request.name,
        "credential_id": device.public.credential_id,
        "public_key": device.public.public_key,
        "rp_id": "",
        "origin": "",
        "request_id": request.pk,
        "is_introduced": True,
        "writer": "",
        "enrolled_at": "2020-01-01",
        "seasoned_at": "2020-01-01",
        "vouched_at": "2020-01-01",
    } | changed
    columns = ", ".join(given)
    places = ", ".join(["%s"] * len(given))
    return f"INSERT INTO approvals_key ({columns}) VALUES ({places})", list(given.values())


@pytest.mark.parametrize("role", [r for r in ALL_PROCESSES if r != "placet_gatekeeper"])
def test_no_process_but_the_gatekeeper_can_write_a_key(world: World, role: str) -> None:
    device = KeyFile()
    request = ask(world.bob, device)
    attack = forged_key(request, device)
    assert "permission denied for table approvals_key" in refusal(world, role, attack)
    with admin() as superuser:
        superuser.execute("GRANT INSERT ON approvals_key TO placet_web")
        try:
            answer = refusal(world, "placet_web", attack)
        finally:
            superuser.execute("REVOKE INSERT ON approvals_key FROM placet_web")
    assert "key role: only the gatekeeper enrols keys" in answer


def test_the_gatekeeper_can_write_only_keys_that_were_asked_for(world: World) -> None:
    device, passkey = KeyFile(), Passkey()
    request, other = ask(world.bob, device), ask(world.bob, passkey)
    role = "placet_gatekeeper"
    for attack, said in (
        (forged_key(request, device, request_id=new_id()), "key request: nobody asked"),
        (forged_key(request, device, person_id=world.carol.pk), "key request: nobody asked"),
        (forged_key(request, device, tenant="others"), "key request: nobody asked"),
        (forged_key(request, device, kind="passkey"), "key request: nobody asked"),
        (forged_key(request, KeyFile()), "key bytes: this is not the key that was asked for"),
        (forged_key(other, Passkey()), "key bytes: this is not the key that was asked for"),
        (forged_key(other, passkey, public_key=b""), "key bytes: this is too short"),
    ):
        assert said in refusal(world, role, attack)
    with as_role(role), connection.cursor() as cursor:
        cursor.execute(*forged_key(request, device))
    key = Key.objects.get()
    # When it counts is the database's word, whatever the gatekeeper says.
    assert key.vouched_at is None and key.seasoned_at > database_now()
    unasked = forged_key(other, passkey)
    assert "key introduction: no older key of the person" in refusal(world, role, unasked)


def test_web_cannot_ask_in_anybodys_name_without_the_seal(world: World) -> None:
    device = KeyFile()
    answer = refusal(world, "placet_web", forged_request(world.bob, device))
    assert "key request seal: nobody who was signed in asked for this key" in answer
    for role in ("placet_worker", "placet_executor", "placet_gatekeeper"):
        answer = refusal(world, role, forged_request(world.bob, device))
        assert "permission denied for table approvals_keyrequest" in answer
    ask(world.bob, device)


def test_a_seal_is_for_one_request_of_one_person(world: World) -> None:
    device = KeyFile()
    request = ask(world.bob, device)
    sql, values = forged_request(world.bob, device)
    reused = (sql, [*values[:-1], bytes(request.seal)])
    assert "key request seal" in refusal(world, "placet_web", reused)
    hers = (sql, [request.pk, request.tenant, world.carol.pk, *values[3:-1], bytes(request.seal)])
    assert "key request seal" in refusal(world, "placet_web", hers)


def test_what_was_asked_and_what_was_enrolled_cannot_be_changed(world: World) -> None:
    device = KeyFile()
    key = enrol(world.bob, device)
    ask(world.carol, KeyFile())
    for role, statement, said in (
        ("placet_web", "UPDATE approvals_keyrequest SET name = 'x'", "permission denied"),
        ("placet_web", "UPDATE approvals_keyrequest SET refused_because = 'x'", "permission"),
        ("placet_gatekeeper", "UPDATE approvals_keyrequest SET name = 'x'", "permission denied"),
        ("placet_gatekeeper", "UPDATE approvals_key SET seasoned_at = now()", "permission denied"),
        ("placet_gatekeeper", "UPDATE approvals_key SET person_id = 1", "permission denied"),
        ("placet_web", "UPDATE approvals_key SET vouched_at = now()", "permission denied"),
        ("placet_gatekeeper", "DELETE FROM approvals_key", "permission denied"),
    ):
        assert said in refusal(world, role, (statement, [])), statement
    # With all rights of the owner the guards still stand.
    for statement, said in (
        ("UPDATE approvals_keyrequest SET name = 'x'", "key request bytes"),
        ("UPDATE approvals_key SET name = 'x'", "key role: only the gatekeeper"),
        ("DELETE FROM approvals_key", "append-only"),
        ("DELETE FROM approvals_keyrequest", "append-only"),
    ):
        assert said in refusal(world, "placet_owner", (statement, [])), statement
    assert vouched(world, key).status == "applied"
    again = ("UPDATE approvals_key SET vouched_at = NULL", [])
    assert "key bytes: what a key is" in refusal(world, "placet_gatekeeper", again)


# Revoking


def test_a_key_is_revoked_by_its_owner_or_an_admin_and_by_nobody_else(world: World) -> None:
    keys = [enrol(world.bob, KeyFile(), f"Key {n}") for n in range(3)]
    revoke(keys[0], world.bob)
    revoke(keys[0], world.bob)
    revoke(keys[1], world.erin)
    with pytest.raises(Exception, match="key revocation right: this is the key of somebody else"):
        revoke(keys[2], world.carol)
    assert list(standing_keys_of(world.bob)) == [keys[2]]
    assert KeyRevocation.objects.count() == 2


def test_nobody_revokes_by_sql_and_nobody_takes_a_revocation_back(world: World) -> None:
    key = enrol(world.bob, KeyFile())
    forged = (
        "INSERT INTO approvals_keyrevocation (key_id, tenant, person_id, reason, seal, revoked_at,"
        " writer) VALUES (%s, %s, %s, '', %s, now(), '')",
        [key.pk, key.tenant, world.bob.pk, b"x" * 32],
    )
    assert "key revocation seal" in refusal(world, "placet_web", forged)
    for role in ("placet_worker", "placet_executor", "placet_gatekeeper"):
        assert "permission denied" in refusal(world, role, forged)
    revoke(key, world.bob)
    undo = ("DELETE FROM approvals_keyrevocation", [])
    assert "permission denied" in refusal(world, "placet_web", undo)
    assert "append-only" in refusal(world, "placet_owner", undo)
