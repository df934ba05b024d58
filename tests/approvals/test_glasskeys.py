"""Two keys break the glass: taken in web, verified by the gatekeeper, and again by the executor."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from approvals import breakglass, glasskeys, limits
from approvals.errors import BreakGlassRefused, SignatureRefused
from approvals.models import BreakGlass, BreakGlassConfirmation, BreakGlassProof, Gate
from approvals.signing import Signed
from console.models import User
from runs.models import Step
from tests.approvals.attacks import ALL_PROCESSES, Attack, parked, refusal
from tests.approvals.authenticator import KeyFile, Passkey
from tests.approvals.enrolled import enrol, revoke
from tests.approvals.glasses import (
    asked,
    confirmed,
    confirmed_by,
    keyed,
    let_time_pass,
    opened,
    recorded,
    signed,
    verified,
)
from tests.approvals.proposals import vouched
from tests.approvals.test_breakglass import counts, forged_confirmation, forged_glass
from tests.harness import World, admin
from tests.zoo import ledger


def refused(glass: BreakGlass, by: Signed | None) -> str:
    with pytest.raises(SignatureRefused) as no:
        recorded(glass, by)
    assert not BreakGlass.objects.exists()
    return str(no.value)


def not_confirmed(glass: BreakGlass, person: User, by: Signed | None) -> str:
    with pytest.raises(SignatureRefused) as no:
        confirmed_by(glass, person, by)
    assert not BreakGlassConfirmation.objects.exists()
    return str(no.value)


def as_superuser(statement: str, *values: Any) -> None:
    """What no process can do: a row that says something else than was signed."""
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(statement, values)


# In web


@pytest.mark.parametrize("device", [Passkey(), KeyFile()], ids=["passkey", "file"])
def test_a_passkey_or_a_key_file_of_each_breaks_it_once_the_gatekeeper_has_looked(
    world: World, device: Any
) -> None:
    gate = parked(world)
    keyed(world.mallory, device)
    glass = opened(world)
    confirmed_by(glass, world.erin)
    assert not counts(gate, world.mallory), "Nobody has verified it yet."
    assert not breakglass.active(world.tenant).exists()

    assert verified() == 1
    assert counts(gate, world.mallory) and counts(gate, world.erin)
    proof = BreakGlassProof.objects.get()
    assert (proof.because, proof.writer) == ("", "placet_gatekeeper")
    assert verified() == 0


def test_without_a_signature_nothing_is_opened_and_nothing_confirmed(world: World) -> None:
    said = "with a passkey or a key file of yours; nothing was recorded. Enrol one"
    assert said in refused(asked(world), None)
    glass = opened(world)
    with pytest.raises(SignatureRefused, match="nothing was recorded"):
        breakglass.confirm(glass_id=glass.pk, tenant=world.tenant, person=world.erin, signed=None)


def test_neither_another_persons_key_nor_another_device_signs(world: World) -> None:
    glass = asked(world)
    challenge = glasskeys.opening_challenge(glass)
    assert "none of yours" in refused(glass, signed(world.erin, challenge))
    key, _ = keyed(world.mallory)
    forged = Signed(key_id=key.pk, answer=KeyFile().sign(challenge))
    assert "The key file did not sign this" in refused(glass, forged)
    assert recorded(glass, signed(world.mallory, challenge))


@pytest.mark.parametrize(
    "other",
    [
        {"scope": "tool", "subject": "refund"},
        {"scope": "everything"},
        {"minutes": 60},
        {"reason": "Because."},
        {"id": UUID("0193d1a0-0000-7000-8000-000000000000")},
    ],
    ids=str,
)
def test_what_was_signed_for_another_glass_opens_none(world: World, other: Any) -> None:
    glass = asked(world, scope="tool", subject="pay")
    about = {"scope": "tool", "subject": "pay", "id": glass.pk} | other
    if about["scope"] == "everything":
        about["subject"] = ""
    by = signed(world.mallory, glasskeys.opening_challenge(asked(world, **about)))
    assert "did not sign this: another key, or another statement" in refused(glass, by)


def test_an_old_signature_opens_no_glass_again(world: World) -> None:
    first = asked(world)
    by = signed(world.mallory, glasskeys.opening_challenge(first))
    recorded(first, by)
    with pytest.raises(BreakGlassRefused, match="This was asked for already"):
        recorded(first, by)
    again = asked(world)
    with pytest.raises(SignatureRefused, match="another statement"):
        recorded(again, by)
    # Nor does one that was kept back for another day: the id says when it was made.
    yesterday = UUID(int=again.pk.int - (24 * 3_600_000 << 80))
    never = UUID("ffffffff-ffff-7fff-8fff-ffffffffffff")
    for id in (yesterday, never):
        held_back = asked(world, id=id)
        with pytest.raises(SignatureRefused, match="signed too long ago, and nothing was opened"):
            recorded(held_back, signed(world.mallory, glasskeys.opening_challenge(held_back)))


def test_a_confirmation_is_signed_over_what_the_first_one_signed(world: World) -> None:
    glass, other = opened(world), opened(world, by=world.bob)
    for challenge in (
        glasskeys.confirming_challenge(other, world.erin.pk),
        glasskeys.confirming_challenge(glass, world.carol.pk),
        glasskeys.opening_challenge(glass),
    ):
        assert "another statement" in not_confirmed(
            glass, world.erin, signed(world.erin, challenge)
        )
    confirmed_by(glass, world.erin)


def test_a_fresh_key_breaks_nothing_before_two_admins_vouch_for_it(world: World) -> None:
    device = KeyFile()
    key = enrol(world.mallory, device)

    def by_it(glass: BreakGlass) -> Signed:
        challenge = glasskeys.opening_challenge(glass)
        return Signed(key_id=key.pk, answer=device.sign(challenge))

    glass = asked(world)
    assert "is fresh" in refused(glass, by_it(glass))
    assert vouched(world, key).status == "applied"
    recorded(glass, by_it(glass))
    assert confirmed(world, glass).proof.because == ""


def test_a_revoked_key_breaks_nothing(world: World) -> None:
    key, _ = keyed(world.mallory)
    glass = asked(world)
    by = signed(world.mallory, glasskeys.opening_challenge(glass))
    revoke(key, world.mallory)
    assert "none of yours, or was revoked" in refused(glass, by)


def test_a_key_that_is_revoked_takes_the_broken_glass_along(world: World) -> None:
    gate = parked(world)
    glass = confirmed(world, opened(world))
    assert breakglass.is_open(glass, glass.confirmation.at) and counts(gate, world.erin)
    revoke(keyed(world.mallory)[0], world.mallory)
    assert not counts(gate, world.erin) and not counts(gate, world.mallory)
    assert not breakglass.active(world.tenant).exists()
    assert breakglass.unreviewed(world.tenant).exists(), "What they did is looked at all the same."


# In the gatekeeper


def with_other_bytes(glass: BreakGlass, table: str, column: str, value: Any) -> str:
    """What the gatekeeper finds of rows that say otherwise than was signed."""
    named = "breakglass_id" if table == "approvals_breakglassconfirmation" else "id"
    as_superuser(f"UPDATE {table} SET {column} = %s WHERE {named} = %s", value, glass.pk)
    verified()
    return BreakGlassProof.objects.get().because


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("approvals_breakglass", "minutes", 59),
        ("approvals_breakglass", "reason", "Another."),
        ("approvals_breakglass", "subject", "refund"),
        ("approvals_breakglass", "signature", b"x" * 64),
        ("approvals_breakglassconfirmation", "signature", b"x" * 64),
    ],
)
def test_the_gatekeeper_believes_nothing_that_web_wrote(
    world: World, table: str, column: str, value: Any
) -> None:
    gate = parked(world)
    glass = opened(world, scope="tool", subject="pay")
    confirmed_by(glass, world.erin)
    assert "did not sign this" in with_other_bytes(glass, table, column, value)
    assert not counts(gate, world.mallory)
    # It was not broken, so there is nothing to review, and nobody is kept from breaking it.
    assert not breakglass.unreviewed(world.tenant).exists()
    opened(world)


def test_the_key_of_somebody_else_signs_for_nobody_in_the_gatekeeper_either(world: World) -> None:
    glass = opened(world)
    confirmed_by(glass, world.erin)
    bobs, device = keyed(world.bob)
    signature = device.sign(glasskeys.confirming_challenge(glass, world.erin.pk)).signature
    as_superuser(
        "UPDATE approvals_breakglassconfirmation SET key = %s, signature = %s", bobs.pk, signature
    )
    verified()
    assert "A key of each of the two must sign" in BreakGlassProof.objects.get().because


def test_a_key_that_was_revoked_before_the_gatekeeper_looked_breaks_nothing(world: World) -> None:
    glass = opened(world)
    confirmed_by(glass, world.erin)
    key, _ = keyed(world.erin)
    revoke(key, world.erin)
    verified()
    assert BreakGlassProof.objects.get().because == f"The key {key.name!r} was revoked."


def test_what_is_verified_after_its_time_was_never_broken(world: World) -> None:
    glass = opened(world)
    confirmed_by(glass, world.erin)
    as_superuser("UPDATE approvals_breakglassconfirmation SET until = now()")
    verified()
    assert "Its time was over before" in BreakGlassProof.objects.get().because


def test_an_id_of_another_day_is_refused_by_the_gatekeeper_too(world: World) -> None:
    glass = opened(world)
    confirmed_by(glass, world.erin)
    let_time_pass(limits.BREAKGLASS_CONFIRM_SECONDS // 60 + 1)
    verified()
    assert "signed too long ago" in BreakGlassProof.objects.get().because


# In the executor


def resting(world: World) -> Gate:
    """A gate whose one approval is of somebody who broke the glass, cleared and not yet sent."""
    gate = parked(world)
    confirmed(world, opened(world, by=world.mallory))
    world.decide(gate, world.mallory)
    world.keep_gates()
    gate.refresh_from_db()
    assert gate.status == "approved"
    return gate


def test_a_payment_that_rests_on_a_broken_glass_is_sent(world: World) -> None:
    resting(world)
    world.settle()
    assert len(ledger("paid")) == 1


@pytest.mark.parametrize("table", ["approvals_breakglass", "approvals_breakglassconfirmation"])
def test_the_executor_verifies_both_keys_itself_whatever_the_gatekeeper_wrote(
    world: World, table: str
) -> None:
    gate = resting(world)
    as_superuser(f"UPDATE {table} SET signature = %s", b"x" * 64)
    world.settle()
    assert ledger("paid") == []
    error = str(Step.objects.get(pk=gate.step_id).error)
    assert "0 of 1 approvals stand for what is about to be sent; nothing was sent." in error


def test_a_member_of_the_group_needs_no_glass(world: World) -> None:
    gate = parked(world)
    confirmed(world, opened(world, by=world.mallory), world.bob)
    as_superuser("UPDATE approvals_breakglass SET signature = %s", b"x" * 64)
    world.decide(gate, world.bob)
    world.settle()
    assert len(ledger("paid")) == 1


# Attacks by SQL


def proof(glass: BreakGlass) -> Attack:
    return (
        "INSERT INTO approvals_breakglassproof (breakglass_id, tenant, because, writer)"
        " VALUES (%s, %s, '', '')",
        [glass.pk, glass.tenant],
    )


@pytest.mark.parametrize("role", [one for one in ALL_PROCESSES if one != "placet_gatekeeper"])
def test_nobody_but_the_gatekeeper_says_that_it_is_broken(world: World, role: str) -> None:
    glass = opened(world)
    confirmed_by(glass, world.erin)
    assert "permission denied for table approvals_breakglassproof" in refusal(
        world, role, proof(glass)
    )


@pytest.mark.parametrize("role", ALL_PROCESSES)
def test_no_process_rewrites_what_was_found(world: World, role: str) -> None:
    confirmed(world, opened(world))
    for verb in ("DELETE FROM {}", "UPDATE {} SET because = ''"):
        attack: Attack = (verb.format("approvals_breakglassproof"), [])
        assert "permission denied for table approvals_breakglassproof" in refusal(
            world, role, attack
        )


def test_the_owner_says_it_no_more_than_others_and_only_of_what_two_confirmed(
    world: World,
) -> None:
    glass = opened(world)
    assert "breakglass proof: nobody has confirmed this" in refusal(
        world, "placet_gatekeeper", proof(glass)
    )
    confirmed_by(glass, world.erin)
    assert "only the gatekeeper verifies, not placet_owner" in refusal(
        world, "placet_owner", proof(glass)
    )
    revoke(keyed(world.erin)[0], world.erin)
    assert "breakglass proof: a key of the two may not break" in refusal(
        world, "placet_gatekeeper", proof(glass)
    )


def test_web_names_no_key_but_one_of_that_person_which_may_break_it(world: World) -> None:
    said = "breakglass key: no key of this person that may break it has signed"
    attack = forged_glass(world, world.bob, key_of=world.carol)
    assert said in refusal(world, "placet_web", attack)
    glass = opened(world)
    attack = forged_confirmation(glass, world.erin, key_of=world.bob)
    assert said in refusal(world, "placet_web", attack)
    statement, values = forged_confirmation(glass, world.erin)
    unsigned = (statement.replace("'forged'", "''"), values)
    assert said in refusal(world, "placet_web", unsigned)


def test_web_names_no_fresh_key(world: World) -> None:
    keyed(world.bob)
    statement, values = forged_glass(world, world.bob)
    fresh = enrol(world.bob, KeyFile(), "Fresh")
    attack = (statement, [*values[:-1], fresh.pk])
    assert "breakglass key: no key of this person that may break it" in refusal(
        world, "placet_web", attack
    )
    opened(world, by=world.bob)


def test_what_web_forges_with_the_seal_key_is_found_by_the_gatekeeper(world: World) -> None:
    """All of the web process in somebody's hands: every seal, and no signature."""
    import psycopg

    gate = parked(world)
    with psycopg.connect(world.servers.database_url("placet_web")) as web:
        web.execute(*forged_glass(world, world.bob))
    glass = BreakGlass.objects.get()
    with psycopg.connect(world.servers.database_url("placet_web")) as web:
        web.execute(*forged_confirmation(glass, world.erin))
    assert not counts(gate, world.erin)
    assert verified() == 1
    assert "did not sign this" in BreakGlassProof.objects.get().because
    assert not counts(gate, world.erin) and not counts(gate, world.bob)
