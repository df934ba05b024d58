"""The pages of the safeguards: freezing and thawing, changes, groups, break-glass, delegations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.urls import reverse
from django.utils import timezone

from approvals import changes as rooms
from approvals import glasskeys
from approvals.models import (
    BreakGlass,
    BreakGlassReview,
    Change,
    ChangeVoice,
    Delegation,
    Freeze,
    Gate,
    Reviewer,
)
from approvals.signing import Signed
from console import roles
from console.models import AuditEntry, User
from console.pages.passkeys import to_text
from console.pages.safeguarding import tabs_of
from runs.models import new_id
from tests.approvals.authenticator import Passkey
from tests.approvals.enrolled import enrol, revoke
from tests.approvals.glasses import asked, keyed, let_time_pass, verified
from tests.approvals.glasses import signed as sign
from tests.approvals.proposals import an_admin
from tests.harness import World, admin, as_role
from tests.pages.visitors import Page, Visitor, make_person, visit_as


def the_gatekeeper_looks() -> None:
    with as_role("placet_gatekeeper"):
        rooms.sweep()


def audited() -> list[tuple[str, str]]:
    found = AuditEntry.objects.order_by("at").exclude(action__startswith="signed")
    return [(entry.actor, entry.action) for entry in found]


def freeze_all(visitor: Visitor, reason: str = "The payees look odd.") -> Page:
    asked = {"scope": "everything", "reason": reason, "confirmed": "yes"}
    answer = visitor.post("/freezes/new/", **asked)
    assert answer.status_code == 302
    return Page(visitor.get(answer.headers["Location"]))


def agree(visitor: Visitor, change: Change, **given: str) -> Page:
    form = {"verdict": "approve", "digest": bytes(change.digest).hex()} | given
    answer = visitor.post(f"/changes/{change.pk}/say/", **form)
    if answer.status_code == 302:
        answer = visitor.get(answer.headers["Location"])
    return Page(answer)


# Tabs

TABS = {
    "freezes": "Freezes",
    "changes": "Changes",
    "groups": "Groups",
    "breakglass": "Break-glass",
    "delegations": "Delegations",
    "second-looks": "Second looks",
    "reviewers": "Reviewers",
}


def test_each_tab_is_headed_and_titled_by_what_it_is_about(world: World) -> None:
    """So whoever hears a page read, or looks for one among many windows, knows which it is."""
    person = make_person("everything", *roles.ROLES, tenant=world.tenant)
    visitor = visit_as(person)
    assert {name: word for name, word, _ in tabs_of(person, "freezes")["tabs"]} == TABS

    for name, word in TABS.items():
        page = Page(visitor.get(reverse(name)))
        current = [e.text.strip() for e in page.all("a") if "aria-current" in e.attributes]
        assert current[:2] == ["Safety", word]
        assert page.texts("h1") == [word]
        assert page.texts("title") == [f"{word} · Safety · Placet"]


# Freezes


def test_one_click_freezes_and_everybody_sees_it_on_every_page(world: World, gate: Gate) -> None:
    said = freeze_all(visit_as(world.bob))
    assert "Everything is frozen. Two admins can thaw it." in said.text

    for name in ("alice", "bob", "dave", "erin"):
        for path in ("/", "/inbox/", f"/gates/{gate.pk}/", f"/runs/{gate.run_id}/", "/groups/"):
            page = Page(visit_as(getattr(world, name)).get(path))
            assert "Everything is frozen. The payees look odd." in page.text, (name, path)
    page = Page(visit_as(world.carol).get(f"/gates/{gate.pk}/"))
    assert "This request is frozen. You can decide; if you approve, it is held" in page.text
    assert audited() == [("bob", "frozen")]


def test_nobody_is_told_that_a_frozen_payment_is_sent_at_once(world: World, gate: Gate) -> None:
    bob, digest = visit_as(world.bob), bytes(gate.digest).hex()

    def told() -> list[str]:
        """What the page, its confirmation and the list of several say of an approval."""
        address = f"/gates/{gate.pk}/"
        confirm = {"verdict": "approve", "digest": digest}
        shown = (
            bob.get(address),
            bob.post(f"{address}decide/", **confirm),
            bob.post(reverse("batch-decide"), gate=str(gate.pk)),
        )
        return [Page(answer).text for answer in shown]

    at_once = "Yours is the last approval needed: the payment is sent at once"
    frozen = "this request is frozen: nothing is paid until two admins have thawed it."
    assert all(at_once in text and frozen not in text for text in told())
    freeze_all(visit_as(world.carol))
    assert all(frozen in text and at_once not in text for text in told())
    world.decide(gate, world.bob)
    text = Page(bob.get(f"/gates/{gate.pk}/")).text
    assert "Enough have approved: it is cleared once two admins have thawed it." in text


def test_nothing_frozen_no_banner_and_the_page_says_what_to_do(world: World) -> None:
    page = Page(visit_as(world.bob).get("/freezes/"))
    assert "Nothing is frozen" in page.texts("h3")
    assert "When something looks wrong, freeze it first" in page.text
    assert "is frozen." not in Page(visit_as(world.bob).get("/")).text
    page = Page(visit_as(world.dave).get("/freezes/"))
    assert "Freeze something" not in page.text


def test_what_another_tenant_froze_is_not_said_here(world: World) -> None:
    freeze_all(visit_as(world.bob))
    with as_role("placet_owner"):
        stranger = User.objects.create_user(username="olivia", tenant="elsewhere")
        roles.set_roles(stranger, set(roles.ROLES))
    assert "Everything is frozen" not in Page(visit_as(stranger).get("/freezes/")).text


def test_from_a_gate_its_payee_tool_or_workflow_is_offered(world: World, gate: Gate) -> None:
    bob = visit_as(world.bob)
    link = f"/freezes/new/?gate={gate.pk}"
    assert f'href="{link}"' in bob.get(f"/gates/{gate.pk}/").content.decode()
    page = Page(bob.get(link))
    for words in (f"The payee {gate.payee}", "The tool pay", "The workflow paying", "Everything"):
        assert words in page.texts("a")
    assert page.field("subject").attributes["value"] == gate.payee

    link = f"/freezes/new/?run={gate.run_id}"
    assert f'href="{link}"' in bob.get(f"/runs/{gate.run_id}/").content.decode()
    assert Page(bob.get(link)).field("subject").attributes["value"] == "paying"


def test_a_freeze_says_what_it_lacks_and_keeps_what_was_typed(world: World) -> None:
    asked = {"scope": "tool", "subject": "", "reason": "", "confirmed": "yes"}
    answer = visit_as(world.bob).post("/freezes/new/", **asked)
    page = Page(answer)
    assert answer.status_code == 422
    assert "Say which one." in page.text
    assert "Say why: others read this." in page.text
    assert not Freeze.objects.exists()


def test_a_thaw_is_proposed_agreed_to_by_two_admins_and_then_done(world: World) -> None:
    frank = an_admin(world, "frank")
    freeze_all(visit_as(world.bob))
    freeze = Freeze.objects.get()
    bob, erin = visit_as(world.bob), visit_as(world.erin)
    answer = bob.post(f"/freezes/{freeze.pk}/thaw/", confirmed="yes", reason="It was a mistake.")
    change = Change.objects.get()
    page = Page(bob.get(answer.headers["Location"]))
    assert page.texts("h1") == ["Thaw everything"]
    assert "The thaw is proposed. It stays frozen until admins agree." in page.text
    assert "A thaw is proposed" in Page(erin.get("/freezes/")).text

    assert "You agreed." in agree(erin, change).text
    the_gatekeeper_looks()
    assert Freeze.objects.get().lifted_at is None  # Bob is no admin, so one voice is missing

    agree(visit_as(frank), change)
    the_gatekeeper_looks()
    page = Page(erin.get("/freezes/"))
    assert "Nothing is frozen" in page.text and "Thawed" in page.text
    assert "Applied" in Page(erin.get(f"/changes/{change.pk}/")).text
    assert audited()[-3:] == [
        ("bob", "change_proposed"),
        ("erin", "change_decided"),
        ("frank", "change_decided"),
    ]


# Changes and groups


def propose_mallory(world: World, **given: str) -> Page:
    form = {
        "kind": "add_reviewer",
        "group": "payments",
        "username": "mallory",
        "reason": "She joins the team.",
    }
    answer = visit_as(world.erin).post("/groups/propose/", **(form | given))
    if answer.status_code == 302:
        answer = visit_as(world.erin).get(answer.headers["Location"])
    return Page(answer)


def test_a_member_is_proposed_shown_agreed_to_and_there(world: World) -> None:
    frank = an_admin(world, "frank")
    page = propose_mallory(world)
    change = Change.objects.get()
    assert page.texts("h1") == ["Add mallory to the group payments"]
    assert "The group payments has two people now: bob, carol." in page.text
    assert bytes(change.digest).hex() in page.text
    assert "Another admin must agree. You can take it back." in page.text
    assert "Agree" not in page.texts("button")

    said = "erin proposes it: She joins the team."
    assert said in Page(visit_as(frank).get("/")).text
    assert said not in Page(visit_as(world.erin).get("/")).text
    page = Page(visit_as(frank).get("/changes/"))
    row = ["Add mallory to the group payments", "She joins the team.", "erin"]
    assert page.texts("td")[:3] == row
    agree(visit_as(frank), change)
    the_gatekeeper_looks()
    page = Page(visit_as(world.dave).get("/groups/"))
    assert "payments 3" in page.text and "mallory" in page.texts("b")
    assert Reviewer.objects.filter(person=world.mallory).exists()


def test_what_cannot_be_proposed_is_said_on_the_form(world: World) -> None:
    page = propose_mallory(world, username="bob")
    assert "Nothing was proposed. The group 'payments' has bob already." in page.text
    page = propose_mallory(world, kind="remove_reviewer", username="carol", reason="")
    assert "Say why: others read this." in page.text
    assert not Change.objects.exists()


def test_the_group_page_leads_to_the_removal_of_a_member(world: World) -> None:
    page = visit_as(world.erin).get("/groups/").content.decode()
    link = "/groups/propose/?kind=remove_reviewer&amp;group=payments&amp;username=carol"
    assert link in page
    assert "Policies ask for groups" not in page and "asks for 1" in page
    assert "Propose to remove" not in visit_as(world.dave).get("/groups/").content.decode()


def test_a_refusal_needs_a_reason_and_the_proposer_takes_back(world: World) -> None:
    frank = an_admin(world, "frank")
    propose_mallory(world)
    change = Change.objects.get()
    page = agree(visit_as(frank), change, verdict="refuse")
    assert "Say why you refuse it: its proposer reads this." in page.text
    page = agree(visit_as(world.erin), change, verdict="refuse")
    assert "Say why you take it back: others read this." in page.text
    page = agree(visit_as(world.erin), change, verdict="refuse", reason="A mistake.")
    assert "You took it back." in page.text
    the_gatekeeper_looks()
    shown = Page(visit_as(frank).get(f"/changes/{change.pk}/")).text
    assert shown.count("Withdrawn") == 2 and "Refused" not in shown
    page = agree(visit_as(frank), change)
    assert "Nothing was recorded. This change is withdrawn; nothing is left to say." in page.text


def test_what_was_not_seen_is_not_agreed_to(world: World) -> None:
    frank = an_admin(world, "frank")
    propose_mallory(world)
    page = agree(visit_as(frank), Change.objects.get(), digest="0" * 64)
    assert "What you saw is not what this change is about" in page.text
    assert not ChangeVoice.objects.exists()


def test_a_change_that_could_not_be_carried_out_says_why(world: World) -> None:
    frank = an_admin(world, "frank")
    form = {"kind": "remove_reviewer", "username": "carol", "group": "payments"}
    propose_mallory(world, **form)
    change = Change.objects.get()
    agree(visit_as(frank), change)
    world.policy(name="Both", above_minor=1_000_000, up_to_minor=2_000_000, quorum=2)
    the_gatekeeper_looks()
    page = Page(visit_as(frank).get(f"/changes/{change.pk}/"))
    assert "It was not carried out. The rule 'Both' asks for 2" in page.text


def test_what_people_typed_is_shown_and_never_obeyed(world: World) -> None:
    hostile = "<script>alert(1)</script>"
    freeze_all(visit_as(world.bob), reason=hostile)
    propose_mallory(world, reason=hostile)
    change = Change.objects.get()
    for path in ("/", "/freezes/", "/changes/", f"/changes/{change.pk}/"):
        markup = visit_as(world.erin).get(path).content.decode()
        assert hostile not in markup and "&lt;script&gt;alert(1)" in markup, path


# Break-glass


def answered(signature: Signed) -> dict[str, str]:
    """What `glass.js` would post."""
    parts = ("client_data", "authenticator_data", "signature")
    told = {name: to_text(getattr(signature.answer, name)) for name in parts}
    return told | {"key": str(signature.key_id)}


def break_glass(world: World) -> BreakGlass:
    """Opened by Mallory on the page, with a key of hers."""
    page = Page(visit_as(world.mallory).get("/breakglass/open/"))
    told = {"scope": "tool", "subject": "pay", "minutes": 30, "reason": "Bob is on a plane."}
    id = UUID(page.field("glass").attributes["value"])
    glass = asked(world, id=id, **told)
    by = answered(sign(world.mallory, glasskeys.opening_challenge(glass)))
    answer = visit_as(world.mallory).post("/breakglass/open/", **told, **by, glass=str(id))
    assert answer.status_code == 302
    return BreakGlass.objects.get()


def confirm(glass: BreakGlass, person: User) -> Any:
    by = answered(sign(person, glasskeys.confirming_challenge(glass, person.pk)))
    address = f"/breakglass/{glass.pk}/confirm/"
    return visit_as(person).post(address, confirmed="yes", **by)


def test_a_glass_is_opened_confirmed_verified_told_to_all_and_reviewed(world: World) -> None:
    glass = break_glass(world)
    mallory, erin, dave = (visit_as(p) for p in (world.mallory, world.erin, world.dave))
    page = Page(mallory.get("/breakglass/"))
    assert "mallory asks to decide at gates of the tool pay" in page.text
    assert "You opened it, so a second human must confirm it." in page.text
    asked_again = Page(mallory.get(f"/breakglass/{glass.pk}/confirm/"))
    assert "You opened it, so a second human must confirm it." in asked_again.text
    assert "Enrol one now" not in asked_again.text
    answer = confirm(glass, world.mallory)
    assert answer.status_code == 422
    assert "It stays whole. You opened it, so a second human" in Page(answer).text
    assert "The glass is broken" not in Page(dave.get("/")).text

    assert "A broken glass waits to be confirmed" in Page(erin.get("/")).text
    assert "A broken glass" not in Page(mallory.get("/")).text
    assert confirm(glass, world.erin).status_code == 302
    page = Page(dave.get("/breakglass/"))
    assert "Waits for the gatekeeper" in page.text
    assert "mallory and erin may decide soon" in page.text
    assert "The glass is broken" not in Page(dave.get("/")).text

    assert verified() == 1
    said = "The glass is broken. mallory and erin may decide at gates of the tool pay: Bob is on"
    for path in ("/", "/inbox/", "/freezes/"):
        assert said in Page(dave.get(path)).text

    let_time_pass(31)
    page = Page(dave.get("/breakglass/"))
    assert "A broken glass is to be reviewed" in Page(dave.get("/")).text
    assert "To be reviewed" in page.text and "Break the glass" not in page.texts("a")
    answer = dave.post(f"/breakglass/{glass.pk}/review/", confirmed="yes", found="It was right.")
    assert answer.status_code == 302
    assert BreakGlassReview.objects.get().found == "It was right."
    assert "dave: It was right." in Page(erin.get("/breakglass/")).text
    assert [action for _, action in audited()] == [
        "glass_opened",
        "glass_confirmed",
        "glass_reviewed",
    ]
    opening = AuditEntry.objects.get(action="glass_opened")
    assert opening.detail["key"] == str(keyed(world.mallory)[0].pk)


def test_the_two_who_broke_the_glass_are_told_who_reviews_it_and_see_no_form(
    world: World,
) -> None:
    glass = break_glass(world)
    confirm(glass, world.erin)
    verified()
    let_time_pass(31)
    address, form = f"/breakglass/{glass.pk}/review/", {"confirmed": "yes", "found": "All right."}
    why = "You broke the glass, so somebody else reviews it: another reviewer, auditor or admin."

    for one in (world.mallory, world.erin):
        page = Page(visit_as(one).get(address))
        assert why in page.text and "Bob is on a plane." in page.text
        assert not page.all("textarea") and "Record the review" not in page.texts("button")
        answer = visit_as(one).post(address, **form)
        assert answer.status_code == 422
        assert f"Nothing was recorded. {why}" in Page(answer).text
        assert "All right." in Page(answer).text and not Page(answer).all("textarea")
    assert not BreakGlassReview.objects.exists()

    dave = visit_as(world.dave)
    page = Page(dave.get(address))
    assert why not in page.text
    assert page.all("textarea") and "Record the review" in page.texts("button")
    assert dave.post(address, **form).status_code == 302
    assert BreakGlassReview.objects.get().person == world.dave
    page = Page(dave.get(address))
    assert "You have reviewed it already." in page.text and "All right." in page.text
    assert not page.all("textarea")


def test_without_a_signature_the_page_keeps_what_was_typed_and_leads_to_the_keys(
    world: World,
) -> None:
    told = {"scope": "tool", "subject": "pay", "minutes": "30", "reason": "Bob is on a plane."}
    mallory = visit_as(world.mallory)
    mallory.client.defaults["HTTP_HOST"] = "localhost:8000"
    answer = mallory.post("/breakglass/open/", **told, glass=str(new_id()))
    assert answer.status_code == 422 and not BreakGlass.objects.exists()
    page = Page(answer)
    assert "Nothing was opened. The glass is broken with a passkey or a key file" in page.text
    assert "Bob is on a plane." in page.texts("textarea")
    assert "You have no passkey yet. Enrol one now: Your keys" in page.text
    enrol(world.mallory, Passkey())
    page = Page(mallory.get("/breakglass/open/"))
    assert "is fresh: for a request as high as this it counts from" in page.text
    assert "/keys/" in [e.attributes["href"] for e in page.all("a")]


def test_an_admin_who_broke_the_glass_decides_while_it_is_open(world: World, gate: Gate) -> None:
    erin = visit_as(world.erin)

    def approve() -> Any:
        form = {"verdict": "approve", "step": "confirmed", "digest": bytes(gate.digest).hex()}
        return erin.post(f"/gates/{gate.pk}/decide/", **form)

    glass = break_glass(world)
    confirm(glass, world.erin)
    assert approve().status_code == 403
    verified()
    assert "The glass is broken" in Page(erin.get(f"/gates/{gate.pk}/")).text
    assert "Approve" in Page(erin.get(f"/gates/{gate.pk}/")).texts("button")
    assert approve().status_code == 302
    world.settle()
    assert Gate.objects.get(pk=gate.pk).status == "approved"

    let_time_pass(31)
    assert approve().status_code == 403


def test_a_glass_whose_signatures_do_not_hold_is_shown_as_whole(world: World) -> None:
    glass = break_glass(world)
    assert confirm(glass, world.erin).status_code == 302
    key, _ = keyed(world.erin)
    revoke(key, world.erin)
    verified()
    page = Page(visit_as(world.dave).get("/breakglass/"))
    assert "Not broken" in page.text and f"The key '{key.name}' was revoked." in page.text
    assert "The glass is broken." not in page.text and "Break the glass" not in page.texts("a")
    assert "Break the glass" in Page(visit_as(world.bob).get("/breakglass/")).text


def test_an_overdue_review_is_on_every_page_until_somebody_reviews(world: World) -> None:
    confirm(break_glass(world), world.erin)
    verified()
    let_time_pass(31 + 24 * 60)
    said = "A review is overdue. mallory and erin broke the glass, and nobody has reviewed it"
    assert said in Page(visit_as(world.alice).get("/")).text
    assert "Review overdue" in Page(visit_as(world.dave).get("/breakglass/")).text


# Delegations


def test_a_reviewer_delegates_and_either_revokes(world: World) -> None:
    now = timezone.now()
    form = {
        "to": "carol",
        "group": "payments",
        "from_at": f"{now:%Y-%m-%dT%H:%M}",
        "until_at": f"{now + timedelta(days=2):%Y-%m-%dT%H:%M}",
        "reason": "Two days in the mountains.",
    }
    bob, carol = visit_as(world.bob), visit_as(world.carol)
    assert bob.post("/delegations/new/", **form).status_code == 302
    one = Delegation.objects.get()
    row = ["carol", "payments", "Two days in the mountains.", "In force"]
    assert Page(bob.get("/delegations/")).texts("td")[:4] == row
    assert "For whom you decide" in Page(carol.get("/delegations/")).text
    said = "bob lets you decide on their behalf in the group payments"
    assert said in Page(carol.get("/")).text and said not in Page(bob.get("/")).text

    answer = visit_as(world.mallory).post(f"/delegations/{one.pk}/revoke/", confirmed="yes")
    assert "Only the two whom it is about revoke a delegation." in Page(answer).text
    carol.post(f"/delegations/{one.pk}/revoke/", confirmed="yes")
    assert Delegation.objects.get().revoked_at is not None
    assert "Revoked" in Page(bob.get("/delegations/")).text
    assert audited() == [("bob", "delegated"), ("carol", "delegation_revoked")]


@pytest.mark.parametrize(
    ("days", "why"),
    [(91, "A delegation ends within 90 days; renew it then."), (-1, "A delegation ends after")],
)
def test_a_delegation_says_why_it_was_not_made(world: World, days: int, why: str) -> None:
    now = timezone.now()
    answer = visit_as(world.bob).post(
        "/delegations/new/",
        to="carol",
        from_at=f"{now:%Y-%m-%dT%H:%M}",
        until_at=f"{now + timedelta(days=days):%Y-%m-%dT%H:%M}",
        reason="x",
    )
    assert answer.status_code == 422
    assert f"Nothing was delegated. {why}" in Page(answer).text
    assert not Delegation.objects.exists()


def test_only_reviewers_are_offered_and_never_oneself(world: World) -> None:
    page = Page(visit_as(world.bob).get(reverse("delegation-new")))
    assert {"carol", "mallory"} <= set(page.texts("option"))
    assert not {"bob", "alice", "dave"} & set(page.texts("option"))


def test_every_page_costs_two_more_questions_for_its_banners(world: World) -> None:
    """One for the freezes, one for the glasses; a part of a page asks neither."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    bob = visit_as(world.bob)
    with admin() as superuser:
        superuser.execute("ANALYZE")
    asked: dict[bool, int] = {}
    for part in (False, True):
        with as_role("placet_web"), CaptureQueriesContext(connection) as captured:
            bob.client.get("/inbox/", headers={"HX-Request": "true"} if part else {})
        tables = ("approvals_freeze", "approvals_breakglass")
        asked[part] = sum(any(t in q["sql"] for t in tables) for q in captured.captured_queries)
    assert asked == {False: 2, True: 0}
