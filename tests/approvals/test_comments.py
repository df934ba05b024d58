"""What people say at a gate: kept as they said it, sealed, told to whom it concerns."""

from __future__ import annotations

import pytest
from django.db import connection

from approvals.comments import comment, seal
from approvals.errors import CommentRefused
from approvals.models import Comment, Gate, Notice
from console.models import AuditEntry
from runs.models import Event, new_id
from tests.api import callers
from tests.approvals import told
from tests.approvals.attacks import parked, refusal
from tests.harness import World, as_role
from tests.pages import visitors

WORDS = "Is <b>this</b> the new account?"


def say(world: World, gate: Gate, person: object, text: str = WORDS) -> Comment:
    with as_role("placet_web"):
        return comment(gate_id=gate.id, tenant=world.tenant, person=person, text=text)


def test_a_comment_is_on_the_page_of_the_gate_and_in_the_journal(world: World) -> None:
    gate = parked(world)
    visitors.visit_as(world.alice).post(f"/gates/{gate.id}/comments/", text=f"  {WORDS}\r\n")
    page = visitors.Page(visitors.visit_as(world.bob).get(f"/gates/{gate.id}/"))
    assert WORDS in page.text
    assert [e.text for e in page.all("p") if e.attributes.get("class") == "quote"] == [WORDS]
    assert Event.objects.get(kind="gate.commented").actor == "alice"
    assert AuditEntry.objects.get(action="commented").actor == "alice"
    part = visitors.visit_as(world.bob).get(f"/gates/{gate.id}/?part=comments", part=True)
    assert "<form" not in part.content.decode() and "new account" in part.content.decode()


def test_a_comment_that_is_refused_says_why_and_loses_nothing_that_was_typed(world: World) -> None:
    gate = parked(world)
    bob = visitors.visit_as(world.bob)
    for text, because in (
        (" ", "A comment needs some words."),
        ("x" * 1001, "at most 1000 characters (it has 1001)"),
    ):
        answer = bob.post(f"/gates/{gate.id}/comments/", text=text)
        assert answer.status_code == 422
        page = visitors.Page(answer)
        assert because in page.text
        assert page.field("text").text.strip() == text.strip()
    assert Comment.objects.count() == 0


def test_a_comment_decides_nothing(world: World) -> None:
    gate = parked(world)
    say(world, gate, world.bob, "I approve.")
    world.settle()
    gate.refresh_from_db()
    assert (gate.status, gate.decisions.count()) == ("open", 0)


def test_a_gate_that_is_closed_can_still_be_spoken_about(world: World) -> None:
    gate = parked(world)
    world.decide(gate, world.bob)
    world.settle()
    assert say(world, gate, world.carol, "It has arrived.").text == "It has arrived."


def test_who_decides_and_who_asked_are_told_but_not_who_spoke(world: World) -> None:
    gate = parked(world)
    say(world, gate, world.alice)
    told.sweep()
    asked = Notice.objects.get(kind="commented")
    assert asked.people == sorted([world.bob.pk, world.carol.pk])
    assert asked.facts["comment"] == {"by": "alice", "text": WORDS}
    say(world, gate, world.bob, "Yes.")
    told.sweep()
    answered = Notice.objects.filter(kind="commented").latest("id")
    assert answered.people == sorted([world.alice.pk, world.carol.pk])
    assert told.sweep() == 0


def test_there_is_an_end_to_comments(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("approvals.limits.MAX_COMMENTS", 1)
    gate = parked(world)
    say(world, gate, world.bob)
    with pytest.raises(CommentRefused, match="There are 1 comments at this gate already"):
        say(world, gate, world.carol)


INSERT = (
    "INSERT INTO approvals_comment (id, tenant, gate_id, person_id, text, seal, said_at, writer)"
    " VALUES (%s, %s, %s, %s, %s, %s, now(), '')"
)


def test_sql_of_web_alone_puts_no_words_into_anybodys_mouth(world: World) -> None:
    gate = parked(world)
    id = new_id()
    real = seal(id=id, gate_id=gate.id, person_id=world.bob.pk, text="Yes.")
    row = [id, world.tenant, gate.id, world.bob.pk, "Yes."]
    for forged in (
        [*row, b"\0" * 32],
        [*row[:4], "No.", real],
        [*row[:3], world.carol.pk, "Yes.", real],
        [new_id(), *row[1:], real],
    ):
        assert "comment seal: nobody who was signed in said this" in refusal(
            world, "placet_web", (INSERT, forged)
        )
    with as_role("placet_web"), connection.cursor() as web:
        web.execute(INSERT, [*row, real])
    for role in ("placet_worker", "placet_executor", "placet_gatekeeper"):
        assert "permission denied" in refusal(world, role, (INSERT, [*row, real]))


def test_a_person_of_another_tenant_says_nothing_here(world: World) -> None:
    gate = parked(world)
    olivia = visitors.make_person("olivia", "reviewer", tenant="elsewhere")
    id = new_id()
    sealed = seal(id=id, gate_id=gate.id, person_id=olivia.pk, text="Yes.")
    assert "comment gate: there is no such gate for this person" in refusal(
        world, "placet_web", (INSERT, [id, world.tenant, gate.id, olivia.pk, "Yes.", sealed])
    )


def test_the_api_says_and_shows_comments(world: World) -> None:
    gate = parked(world)
    alice = callers.with_token(world.alice)
    answer = alice.post(f"gates/{gate.id}/comments", {"text": WORDS})
    assert answer.status_code == 201
    assert answer.json()["person"] == "alice"
    shown = alice.get(f"gates/{gate.id}").json()["comments"]
    assert [(one["person"], one["text"]) for one in shown] == [("alice", WORDS)]
    blank = alice.post(f"gates/{gate.id}/comments", {"text": " "})
    assert callers.problem(blank) == (422, "comment-refused")
