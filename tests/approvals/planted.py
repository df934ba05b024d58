"""Canaries, planted by the gatekeeper beside a payment that was made."""

from __future__ import annotations

from typing import Any

from approvals import planting
from approvals.models import Canary, Gate
from tests.approvals import former
from tests.harness import World, as_role

CONSENT = {"consent": {"group": "payments", "count": 1}}
TRANSFERS = {"name": "Transfers", "when": {"tools": ["transfer"]}, "then": CONSENT}


def wanted(world: World, per_week: int = 3, *rules: dict[str, Any]) -> None:
    """Puts a policy into force that wants so many canaries a week."""
    world.publish(*(rules or (TRANSFERS,)), canaries={"per_week": per_week})


def model(world: World, amount_minor: int = 9870, **changed: Any) -> Gate:
    """A payment that was made under such a policy."""
    former.prepare()
    wanted(world)
    return former.made(world, amount_minor, **changed)


def plant(world: World) -> Gate | None:
    """As if the lot had fallen on now."""
    with as_role("placet_gatekeeper"):
        return planting.plant(world.tenant)


def planted(world: World) -> Gate:
    """The open gate of a canary, with the payment that it is modelled on."""
    model(world)
    gate = plant(world)
    assert gate is not None
    assert Canary.objects.filter(step=gate.step_id).exists()
    return gate


def planted_with(world: World, flaw: str) -> Gate:
    """The same, with this flaw."""
    former_gate = model(world)
    with as_role("placet_gatekeeper"):
        gate = planting._planted(former_gate, flaw)
    assert gate is not None
    return gate
