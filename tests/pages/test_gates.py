"""The inbox and the gate's page: facts, decisions, receipts."""

from __future__ import annotations

from typing import Any

from approvals.models import Decision, Gate
from console.models import AuditEntry
from tests.harness import World
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


def test_nothing_is_chosen_beforehand_and_deny_stands_beside_approve(
    bob: Visitor, gate: Gate
) -> None:
    page = Page(bob.get(f"/gates/{gate.id}/"))

    verdicts = [b for b in page.all("button") if b.attributes.get("name") == "verdict"]
    assert [b.text.strip() for b in verdicts] == ["Deny", "Approve"]
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


def test_who_is_not_asked_is_told_so(world: World, gate: Gate) -> None:
    mallory = visitors.visit_as(world.mallory)

    page = Page(mallory.get(f"/gates/{gate.id}/"))
    assert "You are not asked to decide here." in page.text
    assert "Approve" not in page.texts("button")

    answer = decide(mallory, gate, "approve", step="confirmed")
    assert answer.status_code == 409
    assert not Decision.objects.exists()


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
