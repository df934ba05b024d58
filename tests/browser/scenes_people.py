"""States around requests for the gallery: lists, batches, pace, keys, looking back, notices."""

from __future__ import annotations

from collections.abc import Iterator

from playwright.sync_api import Page

from approvals.models import Gate
from tests.approvals import told
from tests.approvals.attacks import parked_at
from tests.approvals.authenticator import KeyFile, Passkey
from tests.approvals.enrolled import ask, enrol, revoke, season
from tests.approvals.test_pace import in_a_hurry
from tests.browser.scenes import EVERYTHING, Scene, post_bare, send, visiting
from tests.harness import World
from tests.pages.test_audit import enter
from tests.pages.test_inbox import set_gates
from tests.pages.test_lookingback import decided, drawn


def long_lists(world: World, page: Page) -> Iterator[str]:
    for _ in range(12):
        world.start("paying", amounts=[5 * n for n in range(1, 6)])
    world.settle()
    page.goto("/inbox/?view=mine&sort=amount")
    yield "sorted by amount"
    page.get_by_role("link", name="Next page").click()
    page.wait_for_load_state()
    yield "second page"
    for gate in Gate.objects.filter(tenant=world.tenant):
        set_gates(world, "status = 'denied', closed_at = now() - interval '1 hour'", gate)
    page.reload()
    yield "nothing left on this page"
    page.goto("/inbox/?view=closed")
    yield "many closed"
    page.goto("/inbox/?q=nothing+like+it")
    yield "no request matches"


def long_audit(world: World, page: Page) -> Iterator[str]:
    for person, deed in (("bob", "decided"), ("erin", "secret_written"), ("dave", "signed_in")):
        for _ in range(20):
            enter(world, person, deed)
    yield from visiting(page, "/audit/", "/")
    page.goto("/audit/?actor=nobody")
    yield "no entry matches"


def batches(world: World, page: Page) -> Iterator[str]:
    first, *_ = world.gates(world.park_at_gates(9870, 4200, 700))
    call = registering_too(world)
    page.goto("/inbox/")
    for tick in page.locator("[data-select]").all():
        tick.check()
    yield "selected"
    send(page, "", "Review selected")
    yield "to review"
    world.decide(first, world.carol)
    world.settle()
    send(page, "", "Deny 4")
    yield "refused, one left out"
    send(page, "", "Deny 3", reason="Copies.")
    yield "denied"
    world.settle()
    world.park_at_gates(100, 200)
    page.goto("/inbox/")
    for tick in page.locator("[data-select]").all():
        tick.check()
    send(page, "", "Review selected")
    send(page, "", "Approve 2")
    world.settle()
    page.reload()
    yield "approved"
    page.goto(f"/gates/{call.id}/")
    yield "decided in a batch"


def a_hasty_batch(world: World, page: Page) -> Iterator[str]:
    in_a_hurry(world)
    page.goto("/inbox/")
    for tick in page.locator("[data-select]").all():
        tick.check()
    send(page, "", "Review selected")
    send(page, "", "Approve 2")
    yield "too fast"


def registering_too(world: World) -> Gate:
    """A call of the lowest tier, beside payments."""
    consent = {"consent": {"group": "payments", "count": 1}}
    world.publish(
        {"name": "Registering", "when": {"tool": "register"}, "then": consent},
        {"name": "Paying", "when": {"tool": "pay"}, "then": consent},
    )
    run = world.start("registering", names=["ada"])
    world.settle()
    return world.gates(run)[0]


def in_haste(world: World, page: Page) -> Iterator[str]:
    gate, _ = in_a_hurry(world)
    page.goto("/pace/")
    yield "looked at"
    old = page.context.new_page()
    old.goto("/pace/")
    send(page, f"/gates/{gate.id}/", "Approve", reason="The invoice fits.")
    send(page, "", "Approve")
    yield "too fast"
    send(page, "/pace/", "Go on")
    yield "gone on"
    page.goto("/pace/")
    yield "after the recap"
    page.evaluate("html => { document.querySelector('main').innerHTML = html }",
                  old.locator("main").inner_html())  # fmt: skip
    post_bare(page)
    yield "nothing to look over"


def keys(world: World, page: Page) -> Iterator[str]:
    """Keys of every kind, as their owner sees them."""
    season(enrol(world.bob, Passkey(), "Laptop"))
    enrol(world.bob, KeyFile(), "Terminal")
    revoke(enrol(world.bob, KeyFile(), "Lost"), world.bob)
    taken = KeyFile()
    ask(world.carol, taken, "Hers")
    ask(world.bob, taken, "Also mine")
    world.keep_gates()
    ask(world.bob, Passkey(), "Phone")
    yield from visiting(page, "/keys/")
    send(page, "/keys/", "Enrol this key file", public_key="rsa:AAAA")
    yield "refused"
    page.goto("/keys/")
    with page.expect_navigation():
        page.get_by_role("button", name="Revoke").first.click()
    yield "to revoke"


def vouching(world: World, page: Page) -> Iterator[str]:
    key = enrol(world.bob, Passkey(), "Laptop")
    season(enrol(world.carol, Passkey(), "Old"))
    yield from visiting(page, "/keys/")
    page.goto(f"/keys/{key.pk}/vouch/")
    yield "fresh"
    send(page, f"/keys/{key.pk}/vouch/", "Propose it")
    yield "refused"
    send(page, f"/keys/{key.pk}/vouch/", "Propose it", reason="He called me.")
    yield "vouched for"


def without_keys(world: World, page: Page) -> Iterator[str]:
    """What a tier that asks for a key says to somebody who has none, or a fresh one."""
    for tier in ("passkey", "typed"):
        gate = parked_at(world, tier)
        send(page, f"/gates/{gate.id}/", "Approve")
        yield f"no key for {tier}"
    enrol(world.bob, Passkey(), "Laptop")
    send(page, f"/gates/{gate.id}/", "Approve")
    yield "a fresh key"


def looking_back(world: World, page: Page) -> Iterator[str]:
    look = drawn(world)
    page.goto("/second-looks/")
    yield "one waits"
    page.goto(f"/second-looks/{look.pk}/")
    yield "open"
    send(page, f"/second-looks/{look.pk}/", "Wrong")
    yield "refused"
    send(page, f"/second-looks/{look.pk}/", "Wrong", note="It is a copy of the one before.")
    yield "looked at"
    page.goto(f"/second-looks/{look.pk}/")
    yield "found wrong"
    decided(world, 2.0)
    page.goto("/reviewers/")
    yield "too quick"


def own_look(world: World, page: Page) -> Iterator[str]:
    yield from visiting(page, f"/second-looks/{drawn(world).pk}/", "/second-looks/", "/reviewers/")


def noticed(world: World, page: Page) -> Iterator[str]:
    gates = world.gates(world.park_at_gates(9870, 4200, 700))
    told.sweep()
    world.decide(gates[0], world.carol)
    world.decide(gates[1], world.carol, "deny", "Not ours.")
    world.settle()
    told.sweep()
    yield from visiting(page, "/notices/")


SCENES: dict[str, tuple[str, Scene]] = {
    "long lists": ("bob", long_lists),
    "a long audit": (EVERYTHING, long_audit),
    "batches, all": ("bob", batches),
    "a hasty batch": ("bob", a_hasty_batch),
    "in haste": ("bob", in_haste),
    "all keys": ("bob", keys),
    "vouching, all": ("erin", vouching),
    "without keys": ("bob", without_keys),
    "looking back": ("dave", looking_back),
    "ones own look": ("bob", own_look),
    "noticed": ("alice", noticed),
}
