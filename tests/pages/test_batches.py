"""Several requests decided at once on pages: selected, shown one by one, confirmed, and told."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from approvals.batches import Item, digest_of
from approvals.envelope import phrase
from approvals.limits import MAX_BATCH, RATE_APPROVALS
from approvals.models import Batch, Decision, Gate, Viewing
from console.batching import decide_together
from console.models import AuditEntry
from runs.models import new_id
from tests.approvals.attacks import parked_at
from tests.approvals.test_any_tool import ASKED, rule
from tests.approvals.test_pace import approve
from tests.harness import World, as_role
from tests.pages.test_inbox import set_gates
from tests.pages.test_markup import HOSTILE, check
from tests.pages.visitors import Page, Visitor, make_person, visit_as, written


@pytest.fixture
def bob(world: World) -> Visitor:
    return visit_as(world.bob)


def parked(world: World, count: int) -> list[Gate]:
    return world.gates(world.park_at_gates(*range(100, 100 + count)))


def ticks(answer: Any) -> list[str]:
    """What can be selected on a page of the inbox."""
    fields = Page(answer).all("input")
    return [f.attributes["value"] for f in fields if f.attributes.get("type") == "checkbox"]


def review(visitor: Visitor, *gates: Gate) -> Any:
    return visitor.post("/batches/", gate=[str(gate.id) for gate in gates])


def form_of(answer: Any) -> dict[str, Any]:
    """What the page that shows the requests would send."""
    hidden = [e.attributes for e in Page(answer).all("input") if e.attributes["type"] == "hidden"]
    items = [field["value"] for field in hidden if field["name"] == "item"]
    batch = next(field["value"] for field in hidden if field["name"] == "batch")
    return {"step": "confirmed", "item": items, "batch": batch}


def confirm(visitor: Visitor, answer: Any, verdict: str = "approve", reason: str = "") -> Any:
    return visitor.post("/batches/", **form_of(answer), verdict=verdict, reason=reason)


def rows(answer: Any) -> dict[str, str]:
    """What the page of a batch says of each gate."""
    found = [row for row in Page(answer).all("tr") if "id" in row.attributes]
    return {row.attributes["id"]: " ".join(row.text.split()) for row in found}


# Selecting


def test_only_requests_of_the_lowest_tier_that_are_ones_own_can_be_selected(
    world: World, bob: Visitor
) -> None:
    low, high = *parked(world, 1), parked_at(world, "passkey")
    (own,) = world.gates(_started_by(world, world.bob))
    for view in ("mine", "expiring"):
        assert ticks(bob.get("/inbox/", view=view)) == [str(low.id)]
    assert f"gate-{high.id}" in bob.get("/inbox/").content.decode()
    assert f"gate-{own.id}" in bob.get("/inbox/", view="expiring").content.decode()
    assert ticks(bob.get("/inbox/", view="waiting")) == []
    for person in (world.dave, world.erin, world.mallory):
        assert ticks(visit_as(person).get("/inbox/", view="expiring")) == []
    world.decide(low, world.carol)
    world.settle()
    assert ticks(bob.get("/inbox/")) == []


def _started_by(world: World, person: Any) -> Any:
    run = world.start("paying", by=person, amounts=[200])
    world.settle()
    return run


def test_every_selected_request_is_shown_with_its_facts_and_nothing_is_decided(
    world: World, bob: Visitor
) -> None:
    gates = parked(world, 2)
    before = written()
    answer = review(bob, *gates)
    page = Page(answer)
    check(answer)
    assert (answer.status_code, page.texts("h1")) == (200, ["Decide 2 requests at once"])
    sentences = [text for text in page.texts("h2") if text.startswith("Pay")]
    assert [re.findall(r"€[\d.]+", text) for text in sentences] == [["€1.00"], ["€1.01"]]
    assert "Together they come to €2.01." in page.text
    for gate in gates:
        assert phrase(bytes(gate.digest)) in page.text
    assert page.text.count("Requested by alice in a run of paying") == 2
    assert page.text.count("This is the first payment to this account.") == 2
    assert page.text.count("One person of the group payments must approve") == 2
    listed = digest_of(gate.digest for gate in gates)
    assert listed.hex() in page.text and phrase(listed) in page.text
    assert written() == before
    # That they were shown is noted, as on the page of one request.
    assert Viewing.objects.filter(person=world.bob).count() == 2


def test_what_people_and_agents_write_is_text_here_too(world: World, bob: Visitor) -> None:
    run = world.start("paying_to", payee=HOSTILE, amount_minor=100, currency="EUR")
    world.settle()
    answer = review(bob, *world.gates(run))
    check(answer)
    answer = confirm(bob, answer, "deny", HOSTILE)
    shown = bob.get(answer.headers["Location"])
    check(shown)
    assert HOSTILE in Page(shown).text


# Deciding


def test_one_confirmation_decides_all_of_them_and_says_so_everywhere(
    world: World, bob: Visitor
) -> None:
    gates = parked(world, 3)
    answer = confirm(bob, review(bob, *gates), reason="They fit the order.")
    batch = Batch.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/batches/{batch.pk}/")
    decisions = Decision.objects.all()
    assert {(d.batch_id, d.verdict, d.reason) for d in decisions} == {
        (batch.pk, "approve", "They fit the order.")
    }
    world.settle()
    shown = bob.get(f"/batches/{batch.pk}/")
    check(shown)
    assert "You approved 3 requests." in Page(shown).text
    assert Page(shown).texts("h1") == ["You approved 3 of 3 requests at once"]
    assert all("Approved" in text and "Paid" in text for text in rows(shown).values())
    to_dave = Page(visit_as(world.dave).get(f"/batches/{batch.pk}/"))
    assert to_dave.texts("h1") == ["bob approved 3 of 3 requests at once"]

    gate = Page(bob.get(f"/gates/{gates[0].id}/"))
    link = next(a for a in gate.all("a") if a.text == "in a batch of 3")
    assert link.attributes["href"] == f"/batches/{batch.pk}/"
    entry = AuditEntry.objects.get(action="batch_confirmed")
    assert (entry.actor, entry.subject) == ("bob", "3 requests: approve")
    assert entry.detail["digest"] == bytes(batch.digest).hex()
    assert AuditEntry.objects.filter(action="decided", detail__batch=str(batch.pk)).count() == 3
    audit = Page(visit_as(world.dave).get("/audit/")).text
    assert "Approved €1.00 to GB29NWBK60161331926810, in a batch of 3" in audit
    assert "Confirmed several at once" in audit


def test_calls_that_pay_nothing_are_shown_with_all_that_they_send(
    world: World, bob: Visitor
) -> None:
    world.publish(rule(ASKED))
    run = world.start("registering", names=["ada", "grace"])
    world.settle()
    answer = review(bob, *world.gates(run))
    check(answer)
    page = Page(answer).text
    assert "Call register once" in page and "ada" in page
    assert "come to" not in page and "comes to" not in page
    shown = Page(bob.get(confirm(bob, answer).headers["Location"]))
    count = len(world.gates(run))
    assert f"You approved {count} of {count}" in shown.text
    assert f"Approved, in a batch of {count}" in Page(visit_as(world.dave).get("/audit/")).text


def test_the_same_form_again_changes_nothing(world: World, bob: Visitor) -> None:
    shown = review(bob, *parked(world, 2))
    first = confirm(bob, shown)
    before = written()
    again = confirm(bob, shown)
    assert again.headers["Location"] == first.headers["Location"]
    assert written() == before
    other = confirm(bob, shown, "deny", "No.")
    assert other.status_code == 409
    assert "This confirmation was used for another list" in Page(other).text
    assert written() == before


def test_a_denial_of_several_needs_a_reason_and_nothing_typed_is_lost(
    world: World, bob: Visitor
) -> None:
    gates = parked(world, 2)
    refused = confirm(bob, review(bob, *gates), "deny")
    assert refused.status_code == 422
    assert "Say why you deny them: each requester reads this." in Page(refused).text
    long = confirm(bob, refused, "deny", "x" * 1001)
    assert long.status_code == 422 and "x" * 1001 in Page(long).field("reason").text
    assert not Decision.objects.exists() and not Batch.objects.exists()
    assert confirm(bob, refused, "deny", "Copies.").status_code == 302
    world.settle()
    assert {gate.status for gate in Gate.objects.all()} == {"denied"}


def test_what_became_impossible_meanwhile_is_named_and_takes_nothing_from_the_others(
    world: World, bob: Visitor
) -> None:
    denied, approved, expired, open = gates = parked(world, 4)
    shown = review(bob, *gates)
    world.decide(denied, world.carol, "deny", "A copy.")
    world.decide(approved, world.carol)
    world.settle()
    set_gates(world, "expires_at = now() - interval '1 second'", expired)
    answer = confirm(bob, shown)
    assert answer.status_code == 302
    page = bob.get(answer.headers["Location"])
    assert Page(page).texts("h1") == ["You approved 1 of 4 requests at once"]
    said = rows(page)
    assert "Not decided here. carol denied it first." in said[f"gate-{denied.id}"]
    assert "carol approved it first, and that was enough." in said[f"gate-{approved.id}"]
    assert "Not decided here. The time of this gate is over." in said[f"gate-{expired.id}"]
    assert "Approved" in said[f"gate-{open.id}"]
    assert Decision.objects.get(person=world.bob).gate == open


def test_what_was_decided_by_itself_meanwhile_stays_as_it_was(world: World, bob: Visitor) -> None:
    first, second = parked(world, 2)
    shown = review(bob, first, second)
    world.decide(first, world.bob, "deny", "A copy.")
    page = bob.get(confirm(bob, shown).headers["Location"])
    assert "bob denied it by itself." in rows(page)[f"gate-{first.id}"]
    assert first.decisions.get().verdict == "deny"
    assert second.decisions.get().batch is not None


def test_who_may_not_decide_is_told_so_at_each_request(world: World, bob: Visitor) -> None:
    gates = parked(world, 2)
    mallory = visit_as(world.mallory)
    alone = review(mallory, *gates)
    assert alone.status_code == 409
    said = "Only members of the group 'payments' decide here."
    assert Page(alone).text.count(said) == 2
    answer = confirm(bob, review(bob, *gates[:1]))
    items = [f"{gate.id}:{bytes(gate.digest).hex()}" for gate in gates]
    form = {"step": "confirmed", "item": items, "batch": str(new_id()), "verdict": "approve"}
    answer = mallory.post("/batches/", **form)
    told = rows(mallory.get(answer.headers["Location"]))
    assert "Not decided here. Only members of" in told[f"gate-{gates[1].id}"]
    told = rows(visit_as(world.dave).get(answer.headers["Location"]))
    assert "Not decided here. mallory may not decide it." in told[f"gate-{gates[1].id}"]
    assert not Decision.objects.filter(person=world.mallory).exists()


def test_what_is_to_be_looked_at_for_longer_stays_open_and_says_so(
    world: World, bob: Visitor
) -> None:
    world.policy(
        name="Slow", above_minor=2_000_000, up_to_minor=3_000_000, quorum=1, dwell_seconds=60
    )
    (fast,) = parked(world, 1)
    (slow,) = world.gates(world.park_at_gates(2_000_100))
    shown = bob.get(confirm(bob, review(bob, fast, slow)).headers["Location"])
    assert "€20,001.00 to GB29NWBK60161331926810: This request is to be looked at for 60" in (
        Page(shown).text
    )
    assert "It is still open, and can be decided by itself." in rows(shown)[f"gate-{slow.id}"]
    assert Decision.objects.get().gate == fast


def test_equal_confirmations_at_once_are_one(world: World) -> None:
    gates = parked(world, 3)
    items = [Item(gate_id=gate.pk, digest=bytes(gate.digest).hex()) for gate in gates]
    id = new_id()

    def confirmed(_: int) -> list[Any]:
        try:
            said = decide_together(world.bob, id=id, items=items, verdict="approve", reason="")
            return [row.decision.pk for row in said.rows if row.decision]
        finally:
            connection.close()

    with as_role("placet_web"), ThreadPoolExecutor(4) as threads:
        told = list(threads.map(confirmed, range(8)))
    assert len(told[0]) == 3 and told == [told[0]] * 8
    assert Batch.objects.get().decisions.count() == Decision.objects.count() == 3
    assert AuditEntry.objects.filter(action="batch_confirmed").count() == 1
    assert AuditEntry.objects.filter(action="decided").count() == 3


# What cannot be decided at once


def test_a_request_of_a_higher_tier_is_left_out_and_refused_by_its_name(
    world: World, bob: Visitor
) -> None:
    low, high = *parked(world, 1), parked_at(world, "passkey")
    answer = review(bob, low, high)
    said = "€20,050.00 to GB29NWBK60161331926810: It asks for more than a confirmation (passkey)"
    assert said in Page(answer).text
    form = form_of(answer)
    assert [item.partition(":")[0] for item in form["item"]] == [str(low.id)]

    form["item"].append(f"{high.id}:{bytes(high.digest).hex()}")
    refused = bob.post("/batches/", **form, verdict="approve", reason="Typed.")
    assert refused.status_code == 409
    assert "20,050.00 EUR to GB29NWBK60161331926810 asks for more" in Page(refused).text
    assert Page(refused).field("reason").text.strip() == "Typed."
    assert not Batch.objects.exists()
    alone = review(bob, high)
    assert alone.status_code == 409
    assert "Nothing here can be decided at once" in Page(alone).text


def test_no_more_are_decided_at_once_than_people_can_look_at(world: World, bob: Visitor) -> None:
    gates = parked(world, MAX_BATCH + 1)
    answer = review(bob, *gates)
    assert len(form_of(answer)["item"]) == MAX_BATCH
    assert "At most 10 requests are decided at once. It stays in your inbox." in Page(answer).text
    form = form_of(answer)
    form["item"].append(f"{gates[-1].id}:{bytes(gates[-1].digest).hex()}")
    refused = bob.post("/batches/", **form, verdict="approve")
    assert refused.status_code == 409
    assert "At most 10 requests are decided at once, and these are 11." in Page(refused).text
    assert not Batch.objects.exists()


def test_a_batch_that_would_be_too_fast_says_what_was_approved_and_how_to_go_on(
    world: World, bob: Visitor
) -> None:
    gates = parked(world, RATE_APPROVALS)
    for gate in gates[:-2]:
        approve(world, gate)
    more = parked(world, 1)
    shown = review(bob, *gates[-2:], *more)
    refused = confirm(bob, shown, reason="They fit.")
    assert refused.status_code == 409
    said = "You approved 10 requests within 5 minutes: 10.45 EUR in all. Select 2 at most"
    assert said in Page(refused).text
    assert "/pace/" in [a.attributes.get("href") for a in Page(refused).all("a")]
    assert Page(refused).field("reason").text.strip() == "They fit."
    assert not Batch.objects.exists()
    assert confirm(bob, review(bob, *gates[-2:])).status_code == 302


@pytest.mark.parametrize("form", [{}, {"gate": ["x"]}, {"step": "confirmed", "verdict": "approve"}])
def test_a_form_that_names_nothing_leads_back_to_the_inbox(
    world: World, bob: Visitor, form: dict[str, Any]
) -> None:
    answer = bob.post("/batches/", **form)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/inbox/")
    said = "Select requests first" if "step" not in form else "Nothing was recorded."
    assert said in Page(bob.get("/inbox/")).text


def test_what_another_tenant_has_cannot_be_selected(world: World, bob: Visitor) -> None:
    (gate,) = parked(world, 1)
    stranger = visit_as(make_person("olivia", "reviewer", tenant="elsewhere"))
    assert review(stranger, gate).status_code == 404
    form = form_of(review(bob, gate))
    assert stranger.post("/batches/", **form, verdict="approve").status_code == 404
    assert not Batch.objects.exists()
