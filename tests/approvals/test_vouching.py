"""Two admins vouch for a fresh key, neither of them its person; it counts from then on."""

from __future__ import annotations

import pytest

from approvals import registry
from approvals.errors import ChangeRefused, KeyRefused, SignatureRefused
from approvals.models import Change, Key
from tests.approvals.attacks import fact_of, parked_at
from tests.approvals.authenticator import Passkey
from tests.approvals.enrolled import enrol, revoke, season, signed
from tests.approvals.proposals import agree, an_admin, keep, propose
from tests.harness import World, admin, as_role
from tests.zoo import ledger


def test_a_key_signs_for_a_high_tier_right_after_two_admins_vouched(world: World) -> None:
    gate = parked_at(world, "typed")
    device = Passkey()
    key = enrol(world.bob, device)

    def approve() -> None:
        by = signed(gate, world.bob, key, device)
        world.decide(gate, world.bob, typed_fact=fact_of(gate), signed=by)

    with pytest.raises(SignatureRefused, match="is fresh: for a request as high as this"):
        approve()
    change = propose(world, world.erin, "vouch_key", registry.vouching(key))
    assert keep(change).status == "open"
    with pytest.raises(SignatureRefused, match="is fresh"):
        approve()
    agree(world, change, an_admin(world, "frank"))
    assert keep(change).status == "applied"

    approve()
    world.settle()
    assert len(ledger("paid")) == 1


def test_whose_key_it_is_neither_proposes_nor_agrees_by_no_account_of_theirs(
    world: World,
) -> None:
    with as_role("placet_owner"):
        world.erin.email = "erin@example.org"
        world.erin.save()
    twin, frank = an_admin(world, "erin2", email="ERIN@example.org"), an_admin(world, "frank")
    grace = an_admin(world, "grace")
    key = enrol(world.erin, Passkey())
    for own in (world.erin, twin):
        with pytest.raises(ChangeRefused, match="a key of yours, so two other admins vouch"):
            propose(world, own, "vouch_key", registry.vouching(key))
    change = propose(world, frank, "vouch_key", registry.vouching(key))
    for own in (world.erin, twin):
        with pytest.raises(ChangeRefused, match="a key of yours, so two other admins vouch"):
            agree(world, change, own)
    agree(world, change, grace)
    assert keep(change).status == "applied"


def test_the_database_counts_no_voice_of_whose_key_it_is(world: World) -> None:
    """As if web had let it be: a change that Erin agreed to, about a key of hers."""
    key = enrol(world.bob, Passkey())
    change = propose(world, an_admin(world, "frank"), "vouch_key", registry.vouching(key))
    agree(world, change, world.erin)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE approvals_key SET person_id = %s", [world.erin.pk])
        superuser.execute("UPDATE console_user SET username = 'bob2' WHERE username = 'bob'")
        superuser.execute("UPDATE console_user SET username = 'bob' WHERE username = 'erin'")
    closed = keep(change)
    assert (closed.status, closed.error) == (
        "refused",
        "key vouch: whose key it is does not vouch for it",
    )
    assert Key.objects.get().vouched_at is None


def test_only_a_key_that_waits_is_vouched_for_under_its_own_name(world: World) -> None:
    gone, seasoned, fresh = (enrol(world.bob, Passkey(), name) for name in ("A", "B", "C"))
    revoke(gone, world.bob)
    season(seasoned)
    for key in (gone, seasoned):
        with pytest.raises(KeyRefused, match="it does not wait any more, or was revoked"):
            propose(world, world.erin, "vouch_key", registry.vouching(key))
    for lie in ({"name": "Laptop"}, {"person": "carol"}):
        with pytest.raises(KeyRefused, match="not what the key is called, or not whose it is"):
            propose(world, world.erin, "vouch_key", registry.vouching(fresh) | lie)
    assert not Change.objects.exists()
    propose(world, world.erin, "vouch_key", registry.vouching(fresh))
