"""The audit: read by those who may, with filters and pages."""

from __future__ import annotations

from console import audit
from tests.harness import World, as_role
from tests.pages.visitors import Page, visit_as


def enter(world: World, actor: str, action: str) -> None:
    with as_role("placet_web"):
        audit.record(actor=actor, tenant=world.tenant, action=action, subject="Session")


def test_entries_are_found_by_person_and_deed(world: World) -> None:
    enter(world, "bob", "signed_in")
    enter(world, "carol", "decided")
    enter(world, "<b>x</b>", "sign_in_failed")
    dave = visit_as(world.dave)

    assert len(Page(dave.get("/audit/")).all("tr")) == 1 + 4  # the head, and Dave's own sign-in
    assert "carol" not in Page(dave.get("/audit/", actor="bob")).text
    assert "carol" in Page(dave.get("/audit/", action="decided")).text
    assert "<b>x</b>" in Page(dave.get("/audit/", action="sign_in_failed")).text
    assert "No entry matches" in Page(dave.get("/audit/", actor="nobody")).text


def test_decisions_say_the_verdict_the_amount_and_the_payee(world: World) -> None:
    gates = world.gates(world.park_at_gates(9870, 148_750))
    bob = visit_as(world.bob)
    for gate, verdict in zip(gates, ("approve", "deny"), strict=True):
        form = {"digest": bytes(gate.digest).hex(), "reason": "So.", "step": "confirmed"}
        bob.post(f"/gates/{gate.id}/decide/", verdict=verdict, **form)
    dave = visit_as(world.dave)
    approved = f"Approved €98.70 to {gates[0].payee}"
    denied = f"Denied €1,487.50 to {gates[1].payee}"

    both = Page(dave.get("/audit/", action="decided")).text
    assert approved in both and denied in both
    only = Page(dave.get("/audit/", action="decided:deny"))
    assert denied in only.text and approved not in only.text
    assert [o.text for o in only.all("option") if "selected" in o.attributes] == ["Denied"]


def test_entries_are_read_page_by_page(world: World) -> None:
    for _ in range(60):
        enter(world, "bob", "signed_in")
    dave = visit_as(world.dave)

    first = Page(dave.get("/audit/", actor="bob"))
    older = next(a for a in first.all("a") if a.text == "Older").attributes["href"]
    second = Page(dave.get(older))

    assert (len(first.all("tr")) - 1, len(second.all("tr")) - 1) == (50, 10)


def test_other_tenants_are_not_in_it(world: World) -> None:
    with as_role("placet_web"):
        audit.record(actor="olivia", tenant="elsewhere", action="decided", subject="Gate")

    assert "olivia" not in Page(visit_as(world.dave).get("/audit/")).text
