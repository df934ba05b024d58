"""A delegate decides as the principal could: with dates, within groups, apart from requesters."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from approvals import delegations
from approvals.errors import DelegationRefused, ReasonMissing
from approvals.models import Delegation, Gate
from approvals.seals import seal, words
from console import roles
from console.models import User
from runs.models import new_id
from tests.approvals.attacks import ALL_PROCESSES, Attack, parked, refusal
from tests.approvals.proposals import an_admin
from tests.harness import World, admin, as_role


def soon(**span: float) -> datetime:
    return timezone.now() + timedelta(**span)


def delegated(
    world: World, principal: User | None = None, to: User | None = None, **asked: Any
) -> Delegation:
    given: dict[str, Any] = {"from_at": soon(seconds=-5), "until_at": soon(days=3)}
    with as_role("placet_web"):
        return delegations.delegate(
            tenant=world.tenant,
            principal=principal or world.bob,
            to=to or world.mallory,
            reason="I am away.",
            **(given | asked),
        )


def holds(gate: Gate, principal: User, person: User, group: str | None = "payments") -> bool:
    with admin() as superuser:
        found = superuser.execute(
            "SELECT approvals_delegates(g, %s, %s, %s) FROM approvals_gate g WHERE id = %s",
            [principal.pk, person.pk, group, gate.pk],
        ).fetchone()
    assert found is not None
    return bool(found[0])


def forged(
    world: World, principal: User, to: User, *, proper: bool = True, days: int = 3
) -> Attack:
    id, start, end = new_id(), soon().replace(microsecond=0), soon(days=days).replace(microsecond=0)
    told = (id, principal.pk, to.pk, words(world.tenant), words(""))
    spans = (int(start.timestamp()), int(end.timestamp()))
    sealed = seal("placet/delegation/v1", *told, *spans, words("x")) if proper else b"x" * 32
    return (
        'INSERT INTO approvals_delegation (id, tenant, principal_id, delegate_id, "group", from_at,'
        " until_at, reason, seal, writer) VALUES (%s, %s, %s, %s, '', %s, %s, 'x', %s, '')",
        [id, world.tenant, principal.pk, to.pk, start, end, sealed],
    )


def test_it_holds_for_these_two_in_its_time_and_no_longer_once_revoked(world: World) -> None:
    gate = parked(world)
    one = delegated(world)
    assert holds(gate, world.bob, world.mallory)
    assert not holds(gate, world.mallory, world.bob)
    assert not holds(gate, world.carol, world.mallory)
    with as_role("placet_web"):
        assert not delegations.revoke(delegation_id=one.pk, tenant=world.tenant, person=world.carol)
        assert delegations.revoke(delegation_id=one.pk, tenant=world.tenant, person=world.bob)
        assert not delegations.revoke(delegation_id=one.pk, tenant=world.tenant, person=world.bob)
    assert not holds(gate, world.bob, world.mallory)


def test_it_holds_from_its_beginning_to_its_end(world: World) -> None:
    gate = parked(world)
    delegated(world, from_at=soon(hours=1))
    assert not holds(gate, world.bob, world.mallory)
    delegated(world, to=world.carol)
    assert holds(gate, world.bob, world.carol)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE approvals_delegation SET until_at = clock_timestamp() WHERE delegate_id = %s",
            [world.carol.pk],
        )
    assert not holds(gate, world.bob, world.carol)


def test_it_holds_in_its_group_or_in_all(world: World) -> None:
    gate = parked(world)
    delegated(world, group="payments")
    assert holds(gate, world.bob, world.mallory, "payments")
    assert not holds(gate, world.bob, world.mallory, "treasury")
    assert not holds(gate, world.bob, world.mallory, None)
    delegated(world, to=world.carol)
    assert holds(gate, world.bob, world.carol, "treasury")


@pytest.mark.parametrize("who", ["principal", "delegate", "principal's twin", "delegate's twin"])
def test_neither_of_them_asked_for_the_run_nor_another_account_of_theirs(
    world: World, who: str
) -> None:
    person = world.bob if who.startswith("principal") else world.mallory
    twin = an_admin(world, "twin", email="one@example.org", role=roles.OPERATOR)
    with as_role("placet_owner"):
        person.email = "ONE@example.org"
        person.save()
    asked_by = twin if who.endswith("twin") else person
    delegated(world)
    run = world.start("paying", amounts=[5000], by=asked_by)
    world.settle()
    (gate,) = world.gates(run)
    assert not holds(gate, world.bob, world.mallory)
    assert holds(parked(world), world.bob, world.mallory)


def test_what_cannot_be_delegated_is_said(world: World) -> None:
    twin = an_admin(world, "twin", email="bob@example.org", role=roles.REVIEWER)
    with as_role("placet_owner"):
        world.bob.email = "Bob@example.org"
        world.bob.save()
    for asked, why in (
        ({"to": world.alice}, "A reviewer lets another reviewer decide"),
        ({"to": twin}, "Nobody delegates to themself"),
        ({"group": "treasury"}, "You are not in the group 'treasury'"),
        ({"until_at": soon(days=91)}, "ends within 90 days"),
        ({"until_at": soon(seconds=-1)}, "ends after it begins, and later than now"),
    ):
        with pytest.raises(DelegationRefused, match=why):
            delegated(world, **asked)  # type: ignore[arg-type]
    with as_role("placet_web"), pytest.raises(ReasonMissing, match="A delegation needs a reason"):
        delegations.delegate(
            tenant=world.tenant,
            principal=world.bob,
            to=world.carol,
            from_at=soon(),
            until_at=soon(days=1),
            reason="",
        )
    assert not Delegation.objects.exists()


def test_web_delegates_in_nobodys_name_by_sql(world: World) -> None:
    attack = forged(world, world.bob, world.mallory, proper=False)
    assert "delegation seal: nobody who was signed in delegated this" in refusal(
        world, "placet_web", attack
    )
    for wrong, why in (
        (forged(world, world.bob, world.alice), "delegation role: a reviewer lets a reviewer"),
        (forged(world, world.bob, world.bob), "delegation human: nobody delegates to themself"),
        (forged(world, world.bob, world.mallory, days=91), "delegation span: it ends within 90"),
    ):
        assert why in refusal(world, "placet_web", wrong)
    with psycopg.connect(world.servers.database_url("placet_web")) as lawful:
        lawful.execute(*forged(world, world.bob, world.mallory))
    assert Delegation.objects.get().writer == "placet_web"


@pytest.mark.parametrize("role", ALL_PROCESSES)
def test_no_process_edits_a_delegation_or_brings_it_back(world: World, role: str) -> None:
    one = delegated(world)
    if role != "placet_web":
        attack = forged(world, world.bob, world.mallory)
        assert "permission denied for table approvals_delegation" in refusal(world, role, attack)
    for column in ("delegate_id", "until_at", '"group"'):
        answer = refusal(world, role, (f"UPDATE approvals_delegation SET {column} = NULL", []))
        assert "permission denied for table approvals_delegation" in answer
    with as_role("placet_web"):
        delegations.revoke(delegation_id=one.pk, tenant=world.tenant, person=world.bob)
    revive = ("UPDATE approvals_delegation SET revoked_at = NULL", [])
    answer = refusal(world, role, revive)
    assert "permission denied" in answer or "a delegation is revoked, never edited" in answer
