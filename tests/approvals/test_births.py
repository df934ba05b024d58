"""When a gate is born, and in which form a policy is: what is refused before it could count."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError

from approvals import policies
from approvals.errors import PolicyRefused
from approvals.models import Gate, Policy
from runs.clock import database_now
from runs.models import new_id
from tests.approvals.rules.asking import CONSENT, document, rule
from tests.harness import World, admin, as_role


def open_again(world: World, *, seconds: float) -> str:
    """The gatekeeper opens a gate that began so many seconds from now; what it is told."""
    (gate,) = world.gates(world.park_at_gates(9870))
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("DELETE FROM approvals_gate WHERE id = %s", [gate.id])
    moved = database_now() + timedelta(seconds=seconds) - gate.opened_at
    gate.id, gate.opened_at, gate.expires_at = (
        new_id(),
        gate.opened_at + moved,
        gate.expires_at + moved,
    )
    try:
        with as_role("placet_gatekeeper"):
            gate.save(force_insert=True)
    except DatabaseError as refusal:
        return str(refusal).partition("\n")[0]
    return ""


@pytest.mark.parametrize("seconds", [-7 * 86_400, -65, 65, 7 * 86_400])
def test_a_gate_that_did_not_begin_now_is_not_opened(world: World, seconds: float) -> None:
    assert open_again(world, seconds=seconds) == (
        "gate birth: a gate begins now, by the clock of the database"
    )
    assert not Gate.objects.exists()


@pytest.mark.parametrize("seconds", [-50, 0, 50])
def test_a_gate_that_began_within_a_minute_is_opened(world: World, seconds: float) -> None:
    assert open_again(world, seconds=seconds) == ""
    assert Gate.objects.get().status == "open"


SHORT: Any = {"v": 1, "rules": [rule(CONSENT)], "lists": {}, "freezes": []}


def test_a_policy_that_is_not_in_its_normal_form_is_not_published(world: World) -> None:
    before = Policy.objects.count()
    with as_role("placet_owner"):
        with pytest.raises(PolicyRefused, match=r"^The policy does not have its normal form\.$"):
            policies.publish(tenant=world.tenant, document=SHORT)
        with pytest.raises(PolicyRefused, match=r"^The policy does not have its normal form\.$"):
            policies.add_rule(world.tenant, rule(CONSENT))
        with pytest.raises(PolicyRefused, match="/rules/1/then: This is missing"):
            policies.add_rule(world.tenant, {"name": "empty", "when": {}})
        assert Policy.objects.count() == before
        (whole,) = document(rule(CONSENT))["rules"]
        assert policies.add_rule(world.tenant, whole).number == before + 1
        published = policies.publish(tenant=world.tenant, document=document(rule(CONSENT)))
    assert published.number == before + 2
