"""States of requests for the gallery: every way that a gate stands, batches, keys, looking back."""

from __future__ import annotations

from collections.abc import Iterator

from playwright.sync_api import Page, Route

from approvals.models import Gate
from tests import steered, zoo
from tests.approvals import former, planted
from tests.approvals.glasses import confirmed, opened
from tests.approvals.proposals import frozen
from tests.approvals.test_delegations import delegated
from tests.browser.scenes import Scene, send, visiting
from tests.browser.test_any_tool import registering
from tests.harness import World
from tests.pages.test_inbox import set_gates

LONG_PAYEE = "Gemeinschaftspraxis" * 6


def gate_at(page: Page, gate: Gate, state: str) -> Iterator[str]:
    page.goto(f"/gates/{gate.id}/")
    yield state


def parked(world: World, amount_minor: int = 9870) -> Gate:
    return world.gates(world.park_at_gates(amount_minor))[0]


def asked_of_bob(world: World, page: Page) -> Iterator[str]:
    """What is open, and what Bob is told beside its facts."""
    gate = parked(world)
    yield from gate_at(page, gate, "fresh")
    for more in page.locator("details.more > summary").all():
        more.click()
    yield "with all its bytes"
    send(page, f"/gates/{gate.id}/", "Request changes")
    yield "no changes named"
    stale = f"/gates/{gate.id}/"
    page.goto(stale)
    page.evaluate("document.querySelector('[name=digest]').value = '0'.repeat(64)")
    send(page, "", "Deny", reason="Not ours.")
    yield "another digest"
    send(page, f"/gates/{gate.id}/", "Add the comment", text=" ")
    yield "an empty comment"
    words = "Is this the invoice of October? I have one of the same amount."
    send(page, f"/gates/{gate.id}/", "Add the comment", text=words)
    page.goto(f"/gates/{gate.id}/")
    yield "with a comment"
    world.policy(name="Two", above_minor=1_000_000, up_to_minor=2_000_000, quorum=2)
    two = parked(world, 1_500_000)
    world.decide(two, world.carol, reason="I have seen the invoice.")
    yield from gate_at(page, two, "one of two")
    world.decide(two, world.bob)
    page.goto(f"/gates/{two.id}/")
    yield "enough"
    changed = world.start("amending", amount=8000)
    world.settle()
    world.decide(world.gates(changed)[0], world.carol, "changes", reason="Half of it.")
    world.settle()
    yield from gate_at(page, world.gates(changed)[1], "in the place of another")
    set_gates(world, "expires_at = now() + interval '90 seconds'", gate)
    yield from gate_at(page, gate, "expiring")
    frozen(world, "tool", "pay", by=world.carol)
    yield from gate_at(page, gate, "frozen")
    world.decide(gate, world.bob)
    world.settle()
    yield from gate_at(page, gate, "approved and frozen")
    yield from visiting(page, "/inbox/", "/inbox/?view=waiting")


def altered(world: World, page: Page) -> Iterator[str]:
    """A page whose facts somebody changed on their way to the browser."""
    gate = parked(world)

    def serve(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=response.text().replace("9870", "100"))

    page.route(f"**/gates/{gate.id}/", serve)
    yield from gate_at(page, gate, "altered")


def ended(world: World, page: Page) -> Iterator[str]:
    """Every way that a request comes to its end."""
    unpaid = parked(world)
    (zoo.world_dir() / "pay-refuses").write_text("1")
    world.decide(unpaid, world.bob)
    world.settle()
    yield from gate_at(page, unpaid, "approved but not paid")
    withdrawn = parked(world)
    steered.cancel(withdrawn.run)
    world.settle()
    yield from gate_at(page, withdrawn, "withdrawn")
    blocked = parked(world)
    world.publish({"name": "never", "when": {"tools": ["pay"]}, "then": {"block": "Not there."}})
    world.decide(blocked, world.bob)
    world.settle()
    yield from gate_at(page, blocked, "blocked since")
    world.policy()
    call = registering(world, "confirm")
    world.decide(call, world.bob)
    world.settle()
    yield from gate_at(page, call, "a call that was made")
    world.policy(tool="charge_back")
    yield from visiting(page, "/inbox/?view=decided", "/inbox/?view=closed", "/")


def others(world: World, page: Page) -> Iterator[str]:
    """Mallory is asked nothing, then decides for Bob, then by escalation, then by a glass."""
    gate = parked(world)
    yield from gate_at(page, gate, "not asked")
    delegated(world)
    page.reload()
    yield "delegated"
    world.decide(gate, world.mallory)
    page.goto(f"/gates/{gate.id}/")
    yield "decided for another"
    page.goto("/inbox/?view=decided")
    yield "decided for another"


def escalated(world: World, page: Page) -> Iterator[str]:
    """Mallory is asked once the group that was asked first has not answered."""
    world.join("directors", world.mallory)
    consent = {
        "thresholds": [{"group": "payments", "count": 2}],
        "escalation": {"after_seconds": 1, "groups": ["directors"]},
    }
    world.publish({"name": "Late", "when": {"tools": ["pay"]}, "then": {"consent": consent}})
    gate = parked(world)
    yield from gate_at(page, gate, "not yet")
    page.wait_for_timeout(1100)
    page.reload()
    yield "escalated"


def by_a_glass(world: World, page: Page) -> Iterator[str]:
    gate = parked(world)
    confirmed(world, opened(world))
    yield from gate_at(page, gate, "by a broken glass")
    world.decide(gate, world.mallory)
    page.goto(f"/gates/{gate.id}/")
    yield "decided by a broken glass"


def unusual(world: World, page: Page) -> Iterator[str]:
    """Facts from history, an agent, a name beside the account, and long ones."""
    former.prepare()
    former.publish(world)
    (first,) = former.ask(world)
    yield from gate_at(page, first, "first payment")
    former.made(world, 900, days_ago=40, note="rent 10/2026")
    (again,) = former.ask(world, former.payment(1000, note="rent 11/2026"))
    yield from gate_at(page, again, "something differs")
    changed = {"iban": former.OTHER_ACCOUNT, "creditor": "ACME"}
    (other,) = former.ask(world, former.payment(98_000, **changed))
    yield from gate_at(page, other, "account changed")
    name = {"creditor": LONG_PAYEE, "note": "An invoice, " * 20}
    (long,) = former.ask(world, former.payment(99_999, **name))
    yield from gate_at(page, long, "long names")
    send(page, f"/gates/{long.id}/", "Approve")
    yield "long names to confirm"
    yield from visiting(page, "/inbox/", f"/runs/{long.run_id}/", "/")


def canaries(world: World, page: Page) -> Iterator[str]:
    missed = planted.planted_with(world, "amount")
    yield from gate_at(page, missed, "before")
    world.decide(missed, world.bob)
    page.goto(f"/gates/{missed.id}/")
    yield "missed"
    world.settle()
    page.goto(f"/gates/{missed.id}/")
    yield "missed and closed"
    caught = planted.planted_with(world, "account")
    world.decide(caught, world.bob, "deny", "It is odd.")
    world.settle()
    yield from gate_at(page, caught, "caught")
    anothers = planted.planted_with(world, "amount")
    world.decide(anothers, world.carol, "deny", "It is odd.")
    world.settle()
    yield from gate_at(page, anothers, "of another")
    yield from run_of(page, anothers)
    yield from visiting(page, "/inbox/?view=closed", "/reviewers/", "/policies/")


def run_of(page: Page, gate: Gate) -> Iterator[str]:
    yield from visiting(page, f"/runs/{gate.run_id}/")


SCENES: dict[str, tuple[str, Scene]] = {
    "asked of bob": ("bob", asked_of_bob),
    "altered": ("bob", altered),
    "requests that ended": ("bob", ended),
    "others": ("mallory", others),
    "escalated": ("mallory", escalated),
    "by a glass": ("mallory", by_a_glass),
    "unusual": ("bob", unusual),
    "canaries": ("bob", canaries),
}
