"""States of the safeguards, policies, secrets and channels, for the gallery."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import Page

from tests.approvals import told
from tests.approvals.enrolled import revoke
from tests.approvals.glasses import (
    confirmed,
    confirmed_by,
    keyed,
    let_time_pass,
    opened,
    reviewed,
    verified,
)
from tests.approvals.proposals import agree, an_admin, frozen, keep, propose_member, thawed
from tests.browser.scenes import EVERYTHING, Scene, post_bare, send, visiting
from tests.harness import World
from tests.pages.test_policies import FAULTY, STRICTER


def frozen_things(world: World, page: Page) -> Iterator[str]:
    page.goto("/freezes/new/")
    yield "fresh"
    send(page, "/freezes/new/", "Freeze", scope="tool")
    yield "refused"
    send(page, "/freezes/new/", "Freeze", reason="The payees look odd.")
    yield "frozen"
    freeze = frozen(world, "payee", "Gemeinschaftspraxis" * 6, by=world.carol)
    frozen(world, "tool", "pay", by=world.carol)
    thawed(world, frozen(world, "workflow", "paying"), an_admin(world, "frank"))
    page.goto(f"/freezes/{freeze.pk}/thaw/")
    yield "fresh"
    send(page, f"/freezes/{freeze.pk}/thaw/", "Propose the thaw")
    yield "refused"
    send(page, f"/freezes/{freeze.pk}/thaw/", "Propose the thaw", reason="It was a mistake.")
    yield "proposed"
    yield from visiting(page, "/freezes/", "/", "/inbox/")


def changed_things(world: World, page: Page) -> Iterator[str]:
    page.goto("/groups/propose/")
    yield "fresh"
    send(page, "/groups/propose/", "Propose it")
    yield "refused"
    frank = an_admin(world, "frank")
    own = propose_member(world, world.mallory)
    where = f"/changes/{own.pk}/"
    page.goto(where)
    yield "ones own"
    send(page, where, "Take it back")
    yield "refused"
    send(page, where, "Take it back", reason="She leaves us.")
    keep(own)
    page.goto(where)
    yield "withdrawn"
    theirs = propose_member(world, world.mallory, by=frank)
    where = f"/changes/{theirs.pk}/"
    page.goto(where)
    yield "to agree to"
    send(page, where, "Refuse")
    yield "not refused without a reason"
    page.goto("/changes/")
    yield "one waits"
    send(page, where, "Agree")
    yield "agreed to"
    keep(theirs)
    page.goto(where)
    yield "applied"
    refused = propose_member(world, world.alice, by=frank)
    agree(world, refused, world.erin, "refuse")
    keep(refused)
    page.goto(f"/changes/{refused.pk}/")
    yield "refused by one"
    send(page, "/policies/draft/", "Propose", text=STRICTER, reason="The auditors ask for it.")
    yield "a policy"
    yield from visiting(page, "/changes/", "/groups/", "/policies/", "/")


def glasses(world: World, page: Page) -> Iterator[str]:
    """Erin sees a glass break, from the first signature to the review that is overdue."""
    page.goto("/breakglass/open/")
    yield "no key"
    keyed(world.erin)
    page.goto("/breakglass/open/")
    yield "fresh"
    post_bare(page)
    yield "unsigned"
    glass = opened(world)
    page.goto("/breakglass/")
    yield "waits"
    page.goto(f"/breakglass/{glass.pk}/confirm/")
    yield "to confirm"
    post_bare(page)
    yield "to confirm, unsigned"
    confirmed_by(glass, world.erin)
    page.goto("/breakglass/")
    yield "verified"
    verified()
    page.goto("/breakglass/")
    yield "open"
    page.goto("/inbox/")
    yield "banner"
    let_time_pass(31)
    page.goto("/breakglass/")
    yield "unreviewed"
    let_time_pass(24 * 60)
    page.goto("/breakglass/")
    yield "overdue"
    page.goto(f"/breakglass/{glass.pk}/review/")
    yield "ones own"
    reviewed(world, glass, world.dave)
    page.goto("/breakglass/")
    yield "reviewed"
    page.goto(f"/breakglass/{glass.pk}/review/")
    yield "reviewed by another"


def a_glass_to_review(world: World, page: Page) -> Iterator[str]:
    glass = confirmed(world, opened(world))
    let_time_pass(31)
    page.goto(f"/breakglass/{glass.pk}/review/")
    yield "fresh"
    send(page, f"/breakglass/{glass.pk}/review/", "Record the review")
    yield "refused"
    page.goto("/breakglass/")
    yield "to review"


def a_stopped_glass(world: World, page: Page) -> Iterator[str]:
    confirmed(world, opened(world))
    revoke(keyed(world.mallory)[0], world.mallory)
    yield from visiting(page, "/breakglass/")


def delegations(world: World, page: Page) -> Iterator[str]:
    page.goto("/delegations/new/")
    yield "fresh"
    send(page, "/delegations/new/", "Delegate", from_at="x", until_at="y")
    yield "refused"
    now = timezone.now()
    span = {"from_at": f"{now:%Y-%m-%dT%H:%M}", "until_at": f"{now + timedelta(2):%Y-%m-%dT%H:%M}"}
    send(page, "/delegations/new/", "Delegate", to="carol", reason="I am away.", **span)
    yield "delegated"
    page.get_by_role("link", name="Revoke").first.click()
    page.wait_for_load_state()
    yield "to revoke"
    post_bare(page)
    yield "asked once more"
    send(page, "", "Revoke it")
    yield "revoked"


def drafts(world: World, page: Page) -> Iterator[str]:
    where = "/policies/draft/"
    send(page, where, "Check", text=FAULTY)
    yield "faults"
    send(page, where, "Check", text="rules: [\n  - x: {")
    yield "no yaml"
    send(page, where, "Check", text=STRICTER)
    yield "sound"
    send(page, where, "Try on past requests", text=STRICTER)
    yield "nothing to try it on"
    send(page, where, "Propose", text=STRICTER)
    yield "no reason"
    send(page, where, "Check", text="rules: []")
    yield "no rules"
    page.goto(where)
    send(page, "", "Check")
    yield "the same"
    world.park_at_gates(4000, 9870, 700)
    send(page, where, "Try on past requests", text=STRICTER)
    yield "tried"
    for number in range(3, 15):
        world.policy(name=f"Rule {number}", above_minor=number * 10**6,
                     up_to_minor=(number + 1) * 10**6)  # fmt: skip
    yield from visiting(page, "/policies/", "/policies/1/", "/policies/12/")


def secrets(world: World, page: Page) -> Iterator[str]:
    yield from visiting(page, "/secrets/", "/secrets/write/")
    send(page, "/secrets/write/", "Write to the vault", path="Not A Path", name_0="api_key")
    yield "refused"
    given = {"path": "world/key", "description": "For the world.", "name_0": "word",
             "value_0": "please open the door"}  # fmt: skip
    send(page, "/secrets/write/", "Write to the vault", **given)
    yield "written"
    page.goto("/secrets/write/?path=world/key")
    yield "another version"
    page.goto("/secrets/")
    page.locator("select[name=tool]").first.select_option(index=1)
    send(page, "", "Grant")
    yield "granted"
    with page.expect_navigation():
        page.get_by_role("button", name="Revoke the scope").first.click()
    yield "to revoke"


def channels(world: World, page: Page) -> Iterator[str]:
    where = "/settings/notices/"
    page.goto(where)
    yield "none"
    send(page, where, "Add the channel", name="", url="nowhere")
    yield "refused"
    for box in page.locator("[name=kinds]").all():
        box.check()
    known = {"name": "Finance", "way": "message", "url": "json://localhost:9/hook"}
    send(page, "", "Add the channel", **known)
    yield "one"
    with page.expect_navigation():
        page.get_by_role("button", name="Send a test notice").click()
    told.tell(world)
    page.reload()
    yield "tested"
    with page.expect_navigation():
        page.get_by_role("button", name="Pause").click()
    yield "paused"
    with page.expect_navigation():
        page.get_by_role("button", name="Remove").click()
    yield "to remove"


def audited(world: World, page: Page) -> Iterator[str]:
    gates = world.gates(world.park_at_gates(9870, 4200))
    world.decide(gates[0], world.bob, reason="It is as it should be.")
    world.settle()
    told.sweep()
    yield from visiting(page, "/audit/", "/notices/", "/")


SCENES: dict[str, tuple[str, Scene]] = {
    "audited": (EVERYTHING, audited),
    "frozen": ("bob", frozen_things),
    "changes": ("erin", changed_things),
    "glasses": ("erin", glasses),
    "a glass to review": ("dave", a_glass_to_review),
    "a stopped glass": ("erin", a_stopped_glass),
    "delegations": ("bob", delegations),
    "drafts": ("erin", drafts),
    "secrets": ("erin", secrets),
    "all channels": ("erin", channels),
}
