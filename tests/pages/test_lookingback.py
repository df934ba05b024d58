"""Looking back: the recap of who approves too fast, second looks, and figures of reviewers."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals.limits import ALERT_DECISIONS
from approvals.models import Decision, Gate, Recap, SecondLook
from console.models import AuditEntry
from tests.api import callers
from tests.approvals.attacks import parked
from tests.approvals.test_pace import approve, in_a_hurry, moved_back
from tests.harness import World, as_role
from tests.pages.visitors import Page, Visitor, make_look, make_person, visit_as


def try_to_approve(bob: Visitor, gate: Gate) -> Any:
    return bob.post(
        f"/gates/{gate.id}/decide/",
        verdict="approve",
        step="confirmed",
        digest=bytes(gate.digest).hex(),
        reason="The invoice fits.",
    )


def test_who_is_too_fast_sees_what_they_approved_confirms_and_goes_on(world: World) -> None:
    gate, _ = in_a_hurry(world)
    bob = visit_as(world.bob)
    answer = try_to_approve(bob, gate)
    page = Page(answer)
    assert answer.status_code == 409
    assert "You approved 12 requests within 5 minutes, €6.00 in all." in page.text
    assert "nothing of it was recorded" in page.text
    assert [p.text for p in page.all("p") if p.attributes.get("class") == "quote"] == [
        "The invoice fits."
    ]
    assert len(page.all("tr")) == 1 + 12
    form = {name: page.field(name).attributes["value"] for name in ("upto", "gate")}

    answer = bob.post("/pace/", **form)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/gates/{gate.id}/")
    entry = AuditEntry.objects.get(action="approvals_looked_over")
    assert (entry.actor, entry.subject) == ("bob", "12 approvals")
    assert "You can approve again." in Page(bob.get(f"/gates/{gate.id}/")).text
    assert try_to_approve(bob, gate).status_code == 302
    assert gate.decisions.get().reason == "The invoice fits."


def test_a_recap_that_is_not_due_records_nothing_and_says_so(world: World) -> None:
    gate = parked(world)
    decision = approve(world, gate)
    answer = visit_as(world.bob).post("/pace/", upto=str(decision.pk))
    assert answer.status_code == 409
    said = "Nothing was recorded. There is nothing to be looked over: you can approve."
    assert said in Page(answer).text
    assert not Recap.objects.exists()


def test_the_pace_can_be_looked_at_at_any_time(world: World) -> None:
    bob = visit_as(world.bob)
    assert "You approved nothing in the last minutes" in Page(bob.get("/pace/")).text
    in_a_hurry(world)
    assert "Look over what you approved" in Page(bob.get("/pace/")).text
    assert "Look over what you approved" not in Page(visit_as(world.carol).get("/pace/")).text


def test_the_api_says_that_somebody_is_too_fast(world: World) -> None:
    gate, _ = in_a_hurry(world)
    body = {"verdict": "approve", "digest": bytes(gate.digest).hex()}
    answer = callers.with_token(world.bob).post(f"gates/{gate.id}/decisions", body)
    assert callers.problem(answer) == (409, "too-fast")
    assert "You approved 12 requests within 5 minutes: 6.00 EUR" in answer.json()["detail"]


# Second looks


def drawn(world: World) -> SecondLook:
    """A gate that Bob approved and that was drawn."""
    gate = parked(world)
    approve(world, gate)
    world.settle()
    return make_look(gate)


def test_home_leads_to_a_second_look_and_what_is_found_is_kept(world: World) -> None:
    look = drawn(world)
    dave = visit_as(world.dave)
    assert "1 second look waits for you" in Page(dave.get("/")).text
    listed = Page(dave.get("/second-looks/"))
    assert f"/second-looks/{look.pk}/" in [a.attributes.get("href") for a in listed.all("a")]
    page = Page(dave.get(f"/second-looks/{look.pk}/"))
    assert "It was approved within 5 seconds, or unseen" in page.text
    assert "Requested by alice" in page.text

    answer = dave.post(f"/second-looks/{look.pk}/", verdict="wrong", note="")
    assert answer.status_code == 422
    assert "Say what was wrong: who decides reads this." in Page(answer).text
    answer = dave.post(f"/second-looks/{look.pk}/", verdict="wrong", note="<b>A copy.</b>")
    assert answer.headers["Location"] == "/second-looks/"
    look.refresh_from_db()
    assert (look.verdict, look.looked_by, look.note) == ("wrong", world.dave, "<b>A copy.</b>")
    assert "<b>A copy.</b>" in Page(dave.get("/second-looks/")).text
    assert AuditEntry.objects.get(action="second_look_taken").detail["found"] == "wrong"
    assert "second look waits" not in Page(dave.get("/")).text


def test_who_decided_is_not_asked_to_look_again(world: World) -> None:
    look = drawn(world)
    bob = visit_as(world.bob)
    assert "second look waits" not in Page(bob.get("/")).text
    assert "Nothing waits for a second look" in Page(bob.get("/second-looks/")).text
    page = Page(bob.get(f"/second-looks/{look.pk}/"))
    assert "You requested this or decided about it, so somebody else looks." in page.text
    answer = bob.post(f"/second-looks/{look.pk}/", verdict="right", note="It was me.")
    assert answer.status_code == 422
    assert "Nothing was recorded. You requested this or decided" in Page(answer).text
    look.refresh_from_db()
    assert look.looked_at is None


# Figures


def seen(seconds: float) -> None:
    """As if every request had been looked at for so long before it was decided."""
    with as_role("postgres"), connection.cursor() as superuser:
        superuser.execute(
            "INSERT INTO approvals_viewing (tenant, gate_id, person_id, since)"
            " SELECT tenant, gate_id, person_id, now() FROM approvals_decision"
        )
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE approvals_viewing v SET since = d.decided_at - %s * interval '1 second'"
            " FROM approvals_decision d WHERE d.gate_id = v.gate_id",
            [seconds],
        )
        superuser.execute("RESET session_replication_role")


def decided(world: World, seconds: float | None) -> None:
    """Bob approves ten, all of which take him so long, and Carol denies one."""
    gates = world.gates(world.park_at_gates(*[50] * (ALERT_DECISIONS + 1)))
    for gate in gates[:-1]:
        approve(world, gate)
    approve(world, gates[-1], world.carol, "deny")
    if seconds is not None:
        seen(seconds)


ALERT = "100 % approved, most of them within 5 seconds: nobody reads that fast."


@pytest.mark.parametrize(("seconds", "is_alarming"), [(2.0, True), (None, True), (30.0, False)])
def test_figures_raise_an_alert_where_nobody_can_have_read(
    world: World, seconds: float | None, is_alarming: bool
) -> None:
    decided(world, seconds)
    page = Page(visit_as(world.dave).get("/reviewers/"))
    assert (ALERT in page.text) == is_alarming
    rows = {text.split()[0]: text for text in page.texts("tr")}
    assert rows["carol"].startswith("carol")
    assert "10 100 %" in page.text
    assert ("30.0 s" in page.text) == (seconds == 30.0)
    assert ("(10 unseen)" in page.text) == (seconds is None)


def test_a_reviewer_sees_their_own_figures_and_nobody_elses(world: World) -> None:
    decided(world, 30.0)
    page = Page(visit_as(world.carol).get("/reviewers/"))
    assert "How you decide." in page.text
    assert "carol" in page.text and "bob" not in page.text
    stranger = make_person("olivia", "auditor", tenant="elsewhere")
    assert "Nothing was decided in these days" in Page(visit_as(stranger).get("/reviewers/")).text


def test_what_a_second_look_overturned_is_in_the_figures_of_who_approved(world: World) -> None:
    look = drawn(world)
    visit_as(world.dave).post(f"/second-looks/{look.pk}/", verdict="wrong", note="A copy.")
    assert "0 right, 1 wrong (100 %)" in Page(visit_as(world.dave).get("/reviewers/")).text


def test_figures_end_with_their_period(world: World) -> None:
    approve(world, parked(world))
    moved_back(40 * 24 * 60 * 60)
    dave = visit_as(world.dave)
    assert "Nothing was decided in these days" in Page(dave.get("/reviewers/")).text
    assert "bob" in Page(dave.get("/reviewers/", days="90")).text


def test_figures_take_as_many_statements_for_many_as_for_one(world: World) -> None:
    approve(world, parked(world))
    dave = visit_as(world.dave)
    dave.get("/reviewers/")
    with CaptureQueriesContext(connection) as few:
        dave.get("/reviewers/")
    decided(world, 2.0)
    with CaptureQueriesContext(connection) as many:
        dave.get("/reviewers/")
    assert len(many) <= len(few)


def test_the_api_gives_the_same_figures(world: World) -> None:
    decided(world, 2.0)
    dave = callers.with_token(world.dave)
    found = dave.get("reviewers/figures").json()
    bob = next(one for one in found["items"] if one["person"] == "bob" and not one["rule"])
    assert found["days"] == 30
    assert (bob["decisions"], bob["approve_percent"], bob["fast_percent"]) == (10, 100, 100)
    assert bob["alert"] == ALERT
    assert round(bob["median_seconds"]) == 2
    assert Decision.objects.filter(person=world.carol).count() == 1
    own = callers.with_token(world.carol).get("reviewers/figures").json()["items"]
    assert {one["person"] for one in own} <= {"carol", ""}
    assert callers.problem(dave.get("reviewers/figures", days="31")) == (422, "invalid-request")
