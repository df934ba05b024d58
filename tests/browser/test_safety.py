"""Freezing from a gate and thawing by two, as people do it; by keyboard, and on a phone."""

from __future__ import annotations

from approvals import changes
from approvals.models import Freeze
from tests.approvals.proposals import an_admin
from tests.browser.web import Console
from tests.harness import World, as_role
from tests.zoo import ledger

PHONE = {"width": 390, "height": 844}
FROZEN = "The tool pay is frozen."


def test_bob_freezes_from_his_phone_and_two_admins_thaw(world: World, console: Console) -> None:
    an_admin(world, "frank")
    gate = world.gates(world.park_at_gates(9870))[0]
    bob = console.open("bob", viewport=PHONE)
    bob.goto(f"/gates/{gate.id}/")
    bob.get_by_role("link", name="Freeze …").click()
    bob.get_by_role("link", name="The tool pay").click()
    bob.get_by_label("Reason").fill("Two invoices have one number.")
    bob.get_by_role("button", name="Freeze", exact=True).click()
    bob.get_by_text("The tool pay is frozen. Two admins can thaw it.").wait_for()
    world.decide(gate, world.carol)
    world.settle()
    assert ledger("paid") == []

    erin = console.open("erin")
    erin.goto("/freezes/")
    assert erin.get_by_role("region", name="In force for everybody").inner_text().startswith(FROZEN)
    erin.get_by_role("link", name="Propose to thaw").press("Enter")
    erin.get_by_label("Reason").fill("The second one was a copy.")
    erin.get_by_role("button", name="Propose the thaw").press("Enter")
    erin.get_by_role("heading", name="Thaw the tool pay").wait_for()

    frank = console.open("frank", viewport=PHONE)
    frank.get_by_role("link", name="Thaw the tool pay").click()
    frank.get_by_role("button", name="Agree").click()
    frank.get_by_text("You agreed.").wait_for()
    with as_role("placet_gatekeeper"):
        assert changes.sweep() == 1
    assert Freeze.objects.get().lifted_at is not None
    world.settle()
    assert len(ledger("paid")) == 1
    bob.goto("/")
    assert bob.get_by_text(FROZEN).count() == 0
