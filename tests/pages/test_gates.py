"""The inbox and the gate's page: facts, decisions, receipts."""

from __future__ import annotations

from typing import Any

from approvals.models import Decision, Gate, Viewing
from console.models import AuditEntry
from console.roles import set_roles
from tests.approvals.proposals import frozen
from tests.approvals.test_delegations import delegated
from tests.approvals.test_thresholds import rule
from tests.harness import World, as_role
from tests.pages import visitors
from tests.pages.visitors import Page, Visitor


def decide(visitor: Visitor, gate: Gate, verdict: str, **form: Any) -> Any:
    digest = bytes(gate.digest).hex()
    return visitor.post(
        f"/gates/{gate.id}/decide/", **({"verdict": verdict, "digest": digest} | form)
    )


def test_the_page_says_what_is_paid_to_whom_from_the_envelope(bob: Visitor, gate: Gate) -> None:
    page = Page(bob.get(f"/gates/{gate.id}/"))

    assert page.texts("h1") == ["Pay €98.70 to GB29NWBK60161331926810, once, by pay."]
    assert page.texts("pre") == [bytes(gate.envelope).decode()]
    assert bytes(gate.digest).hex() in page.text
    assert "one person of the group payments must approve" in page.text
    for argument in ("amount_minor", "9870", "iban", "reference", "invoice 0"):
        assert argument in page.text


def test_nothing_is_chosen_beforehand_and_saying_no_comes_first(bob: Visitor, gate: Gate) -> None:
    page = Page(bob.get(f"/gates/{gate.id}/"))

    verdicts = [b for b in page.all("button") if b.attributes.get("name") == "verdict"]
    assert [b.text.strip() for b in verdicts] == ["Deny", "Request changes", "Approve"]
    assert verdicts[0].attributes["class"] == verdicts[1].attributes["class"]
    assert not [e for e in page.elements if "checked" in e.attributes]


def test_an_approval_counts_only_when_it_was_reviewed_once_more(
    world: World, bob: Visitor, gate: Gate
) -> None:
    review = decide(bob, gate, "approve", reason="Seen the invoice.")

    assert review.status_code == 200
    assert not Decision.objects.exists()
    assert "You are about to approve" in Page(review).text
    assert Page(review).field("reason").attributes["value"] == "Seen the invoice."

    answer = decide(bob, gate, "approve", reason="Seen the invoice.", step="confirmed")

    assert answer.headers["Location"] == f"/gates/{gate.id}/"
    decision = Decision.objects.get()
    assert (decision.verdict, decision.reason) == ("approve", "Seen the invoice.")
    assert AuditEntry.objects.get(action="decided").detail["verdict"] == "approve"


def test_going_back_from_the_review_keeps_the_reason(bob: Visitor, gate: Gate) -> None:
    answer = decide(bob, gate, "approve", reason="Seen <b>it</b>.", step="back")

    assert Page(answer).field("reason").text.strip() == "Seen <b>it</b>."
    assert not Decision.objects.exists()


def test_a_denial_needs_a_reason_and_nothing_else(bob: Visitor, gate: Gate) -> None:
    without = decide(bob, gate, "deny", reason="  ")
    assert without.status_code == 422
    assert "Say why you deny it" in Page(without).text
    assert not Decision.objects.exists()

    decide(bob, gate, "deny", reason="The account is another one.")
    assert Decision.objects.get().reason == "The account is another one."


def test_the_page_of_a_refused_form_can_be_loaded_again(bob: Visitor, gate: Gate) -> None:
    refused = decide(bob, gate, "deny", reason="")

    addresses = [e.attributes["hx-get"] for e in Page(refused).elements if "hx-get" in e.attributes]
    for address in [*addresses, f"/gates/{gate.id}/decide/"]:
        again = bob.get(address)
        assert again.status_code in (200, 302)
    assert again.headers["Location"] == f"/gates/{gate.id}/"
    assert Page(refused).field("reason").attributes["autofocus"] == ""


def test_another_digest_than_the_page_showed_is_refused_and_the_reason_kept(
    bob: Visitor, gate: Gate
) -> None:
    answer = decide(bob, gate, "deny", reason="Not ours.", digest="0" * 64)

    assert answer.status_code == 409
    assert Page(answer).field("reason").text.strip() == "Not ours."
    assert Page(answer).field("digest").attributes["value"] == bytes(gate.digest).hex()
    assert not Decision.objects.exists()


def test_my_own_request_is_explained_and_has_no_buttons(world: World) -> None:
    gate = _parked_by_bob(world)

    page = Page(visitors.visit_as(world.bob).get(f"/gates/{gate.id}/"))

    assert "This is your own request." in page.text
    assert "Approve" not in page.texts("button")


def _parked_by_bob(world: World) -> Gate:
    run = world.start("paying", by=world.bob, amounts=[100])
    world.settle()
    return world.gates(run)[0]


def test_who_has_decided_is_told_what_is_still_missing(world: World, bob: Visitor) -> None:
    world.policy(name="Two", above_minor=1_000_000, up_to_minor=2_000_000, quorum=2)
    gate = world.gates(world.park_at_gates(1_500_000))[0]

    decide(bob, gate, "approve", step="confirmed")

    text = Page(bob.get(f"/gates/{gate.id}/")).text
    assert "You approved it. 1 more approval is needed, from the group payments." in text
    assert "If you deny" not in text


def test_what_the_policy_blocks_by_now_names_nobody_who_denied_it(
    world: World, bob: Visitor, gate: Gate
) -> None:
    rule = {"name": "never", "when": {"tools": ["pay"]}, "then": {"block": "Not there."}}
    world.publish(rule)
    decide(bob, gate, "approve", step="confirmed")
    world.settle()
    text = Page(bob.get(f"/gates/{gate.id}/")).text
    assert "The policy blocks it by now; nothing is left to decide." in text
    assert "denied this just now" not in text and "Not there." in text


def test_who_is_not_asked_is_told_so(world: World, gate: Gate) -> None:
    mallory = visitors.visit_as(world.mallory)

    page = Page(mallory.get(f"/gates/{gate.id}/"))
    assert "You are not asked to decide here." in page.text
    assert "Approve" not in page.texts("button")

    answer = decide(mallory, gate, "approve", step="confirmed")
    assert answer.status_code == 409
    assert not Decision.objects.exists()


def test_who_decides_for_another_is_told_for_whom_before_and_as_they_confirm(
    world: World, gate: Gate
) -> None:
    mallory = visitors.visit_as(world.mallory)
    delegated(world)
    assert "You decide on behalf of bob." in Page(mallory.get(f"/gates/{gate.id}/")).text
    review = Page(decide(mallory, gate, "approve")).text
    assert "You are about to approve on behalf of bob:" in review
    carol = visitors.visit_as(world.carol)
    assert "on behalf of" not in Page(carol.get(f"/gates/{gate.id}/")).text
    assert "on behalf of" not in Page(decide(carol, gate, "approve")).text


def test_the_page_says_whom_the_policy_asks_later(world: World, bob: Visitor) -> None:
    world.join("directors", world.mallory)
    consent = {"group": "payments", "escalation": {"after_seconds": 600, "groups": ["directors"]}}
    world.publish({"name": "Late", "when": {"tools": ["pay"]}, "then": {"consent": consent}})
    (gate,) = world.gates(world.park_at_gates(100))
    said = "must approve; after 10 min the group directors may as well. Whoever asked for it"
    assert said in Page(bob.get(f"/gates/{gate.id}/")).text


def test_who_has_approved_what_is_frozen_is_told_that_it_is_held(
    world: World, bob: Visitor, gate: Gate
) -> None:
    frozen(world, "tool", "pay", by=world.carol)
    path = f"/gates/{gate.id}/"
    assert "You can decide; if you approve, it is held" in Page(bob.get(path)).text
    world.decide(gate, world.bob)
    text = Page(bob.get(path)).text
    assert "Whatever is approved, it is held until two admins have thawed it." in text
    assert "You can decide" not in text and "being cleared" not in text


def test_a_closed_gate_is_its_own_receipt(world: World, bob: Visitor, gate: Gate) -> None:
    decide(bob, gate, "approve", step="confirmed")
    world.settle()

    page = Page(bob.get(f"/gates/{gate.id}/"))

    assert "Paid €98.70 to GB29NWBK60161331926810, at " in page.text
    assert "Everything that was sent" in page.text
    assert [p.text.split()[:1] for p in page.all("b") if p.text == "bob"] == [["bob"]]
    assert "Succeeded" in page.text
    assert "Approve" not in page.texts("button")
    assert f"/runs/{gate.run_id}/#step-{gate.step.position}" in [
        a.attributes["href"] for a in page.all("a")
    ]


def test_the_count_beside_the_inbox_is_what_waits_for_me(
    world: World, bob: Visitor, gate: Gate
) -> None:
    assert "1 waiting for you" in Page(bob.get("/")).text
    world.decide(gate, world.bob)
    assert "waiting for you" not in Page(bob.get("/")).text


def test_changes_are_asked_for_with_what_is_to_be_changed(bob: Visitor, gate: Gate) -> None:
    answer = decide(bob, gate, "changes")

    assert answer.status_code == 422
    assert "Say what is to be changed: the run is told" in Page(answer).text

    decide(bob, gate, "changes", reason="Half of it, please.")

    decision = Decision.objects.get(gate=gate)
    assert (decision.verdict, decision.reason) == ("changes", "Half of it, please.")
    assert "You asked for changes; the run is told" in Page(bob.get(f"/gates/{gate.id}/")).text


def test_an_approval_is_taken_back_on_the_page(world: World, bob: Visitor, gate: Gate) -> None:
    decide(bob, gate, "approve", step="confirmed")
    page = Page(bob.get(f"/gates/{gate.id}/"))
    assert "Take your approval back" in page.text

    bob.post(f"/gates/{gate.id}/take-back/", reason=" ")
    page = Page(bob.get(f"/gates/{gate.id}/"))
    assert "Say why you take your approval back" in page.text
    bob.post(f"/gates/{gate.id}/take-back/", reason="The wrong account.")

    page = Page(bob.get(f"/gates/{gate.id}/"))
    assert "You took your approval back." in page.text
    assert "Taken back" in page.text and "Take it back" not in page.texts("button")
    assert AuditEntry.objects.filter(action="approval_revoked", actor="bob").exists()
    world.settle()
    assert world.gates(gate.run)[0].status == "open"


def test_after_the_claim_the_page_says_that_it_is_too_late(
    world: World, bob: Visitor, gate: Gate
) -> None:
    decide(bob, gate, "approve", step="confirmed")
    world.settle()
    assert "Take your approval back" not in Page(bob.get(f"/gates/{gate.id}/")).text

    bob.post(f"/gates/{gate.id}/take-back/", reason="The wrong account.")

    assert "Too late: the step has been claimed" in Page(bob.get(f"/gates/{gate.id}/")).text


def test_the_page_tells_that_it_was_opened_and_a_get_does_not(
    world: World, bob: Visitor, gate: Gate
) -> None:
    bob.get(f"/gates/{gate.id}/")
    assert not Viewing.objects.exists()
    assert bob.post(f"/gates/{gate.id}/look/").status_code == 204
    assert Viewing.objects.get().person == world.bob
    mallory = visitors.visit_as(world.mallory)
    assert mallory.post(f"/gates/{gate.id}/look/").status_code == 204
    assert Viewing.objects.count() == 1


def test_a_gate_of_a_tool_that_pays_nothing_has_a_page(world: World, bob: Visitor) -> None:
    world.publish(
        {
            "name": "Registering",
            "when": {"tool": "register"},
            "then": {"consent": {"group": "payments", "count": 1}},
        }
    )
    run = world.start("registering", names=["ada"])
    world.settle()
    (gate,) = world.gates(run)

    page = Page(bob.get(f"/gates/{gate.id}/"))

    assert "Call register once, with exactly the arguments below." in page.text
    assert "ada" in page.text
    assert "register" in Page(bob.get("/inbox/")).text
    answer = decide(bob, gate, "approve")
    assert "You are about to approve:" in Page(answer).text and "ada" in Page(answer).text


def test_a_changed_request_says_what_it_takes_the_place_of(world: World, bob: Visitor) -> None:
    run = world.start("amending", amount=8000)
    world.settle()
    first = world.gates(run)[0]
    decide(bob, first, "changes", reason="Half of it.")
    world.settle()
    second = world.gates(run)[1]

    page = Page(bob.get(f"/gates/{second.id}/"))

    assert "It takes the place of another request." in page.text
    links = [one.attributes.get("href") for one in page.elements]
    assert f"/gates/{first.id}/" in links


def test_who_was_given_the_role_after_the_request_is_told_so_and_decides_nothing(
    world: World, bob: Visitor
) -> None:
    world.publish(rule({"role": "reviewer", "count": 2}))
    gate = world.gates(world.park_at_gates(9870))[0]
    with as_role("placet_owner"):
        set_roles(world.erin, {"admin", "reviewer"})
    erin = visitors.visit_as(world.erin)

    page = Page(erin.get(f"/gates/{gate.id}/"))
    assert "You are not asked to decide here." in page.text
    assert "You joined after this request was made, so you do not count here." in page.text
    assert "two people with the role reviewer must approve" in page.text
    assert not [b for b in page.all("button") if b.attributes.get("name") == "verdict"]
    refused = decide(erin, gate, "approve", step="confirmed")
    assert refused.status_code == 409
    assert not Decision.objects.exists()

    assert decide(bob, gate, "approve", step="confirmed").status_code == 302
    text = Page(bob.get(f"/gates/{gate.id}/")).text
    assert "1 more approval is needed, from anybody with the role reviewer." in text
