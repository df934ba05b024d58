"""Steering runs on pages: what would happen is said first, and works without any script."""

from __future__ import annotations

import pytest

from console.models import AuditEntry
from runs.models import Run, Signal
from tests import zoo
from tests.doubts import make_operators
from tests.harness import World, as_role
from tests.pages.test_markup import check
from tests.pages.visitors import Page, Visitor, visit_as

WHY = "The bank is closed."


@pytest.fixture
def sleeper(world: World) -> Run:
    run = world.start("sleeping", seconds=1000.0)
    world.settle()
    return run


def test_a_run_is_paused_with_a_reason_and_resumed(alice: Visitor, sleeper: Run) -> None:
    where = f"/runs/{sleeper.id}/pause/"
    asked = alice.get(where)
    check(asked)
    assert "do not begin until somebody resumes it" in Page(asked).text

    refused = alice.post(where, confirmed="yes", reason="")
    check(refused)
    assert refused.status_code == 422
    assert "Say why: others read this." in Page(refused).text
    assert Run.objects.get().status == "waiting"

    assert alice.post(where, confirmed="yes", reason=WHY).status_code == 302
    page = Page(alice.get(f"/runs/{sleeper.id}/"))
    assert f"alice paused it, because: {WHY}" in page.text
    assert "Resume" in page.text
    assert AuditEntry.objects.get(action="run_paused").detail == {"reason": WHY}

    assert alice.post(f"/runs/{sleeper.id}/resume/", confirmed="yes").status_code == 302
    assert Run.objects.get().status == "ready"


@pytest.mark.parametrize("verb", ["cancel", "terminate"])
def test_nothing_happens_before_it_was_confirmed(
    world: World, alice: Visitor, sleeper: Run, verb: str
) -> None:
    check(alice.post(f"/runs/{sleeper.id}/{verb}/"))
    world.settle()
    assert Run.objects.get().status == "waiting"
    alice.post(f"/runs/{sleeper.id}/{verb}/", confirmed="yes", reason=WHY)
    world.settle()
    assert Run.objects.get().status == "cancelled"
    late = alice.get(f"/runs/{sleeper.id}/{verb}/")
    assert late.status_code == 302
    check(alice.get(f"/runs/{sleeper.id}/"))


def test_a_verb_that_is_none_is_not_there(alice: Visitor, sleeper: Run) -> None:
    assert alice.get(f"/runs/{sleeper.id}/explode/").status_code == 404


def test_only_what_can_be_asked_now_has_a_button(world: World, sleeper: Run) -> None:
    alice, bob = visit_as(world.alice), visit_as(world.bob)
    links = [e.attributes.get("href", "") for e in Page(alice.get(f"/runs/{sleeper.id}/")).elements]
    asked = {link.rstrip("/").rpartition("/")[2] for link in links if f"{sleeper.id}/" in link}
    assert {"pause", "cancel", "terminate"} <= asked and "resume" not in asked
    assert "Terminate" not in Page(bob.get(f"/runs/{sleeper.id}/")).text


def test_a_fork_begins_where_the_old_run_was(world: World, alice: Visitor) -> None:
    run = world.start("adding", numbers=[1, 2, 3])
    world.settle()
    where = f"/runs/{run.id}/fork/"
    form = alice.get(where, at=1)
    check(form)
    page = Page(form)
    assert "the outcomes of 1 step; nothing of it is done again" in page.text
    form_id = page.field("form_id").attributes["value"]

    made = alice.post(where, at="1", form_id=form_id, **{"input.numbers": "[1, 2, 3]"})
    assert made.status_code == 302
    fork = Run.objects.get(forked_from=run)
    assert made.headers["Location"] == f"/runs/{fork.id}/"
    world.settle()
    shown = Page(alice.get(f"/runs/{fork.id}/")).text
    assert "Forked from" in shown and "at step 2" in shown and "copied by the fork" in shown
    assert str(fork.id)[-8:] in Page(alice.get(f"/runs/{run.id}/")).text

    wrong = alice.post(where, at="1", form_id=form_id, **{"input.numbers": "7"})
    check(wrong)
    assert wrong.status_code == 422
    assert alice.get(where, at="x").status_code == 404


def test_a_signal_is_sent_once_however_often_the_form_is(world: World, alice: Visitor) -> None:
    run = world.start("listening", signals=["go", "stop"])
    world.settle()
    where = f"/runs/{run.id}/signal/"
    page = Page(alice.get(where))
    assert "The run waits for: go" in page.text
    assert page.field("name").attributes["value"] == "go"
    form = {"form_id": page.field("form_id").attributes["value"], "name": "go"}

    wrong = alice.post(where, **form, payload="{")
    check(wrong)
    assert wrong.status_code == 422 and not Signal.objects.exists()
    for _ in range(2):
        assert alice.post(where, **form, payload='{"ok": true}').status_code == 302
    assert Signal.objects.count() == 1
    world.settle()
    assert "Taken by step 1" in Page(alice.get(f"/runs/{run.id}/")).text


def test_a_question_is_on_home_in_its_list_and_answered_as_a_form(
    world: World, bob: Visitor
) -> None:
    run = world.start("asking")
    world.settle()
    where = f"/runs/{run.id}/steps/0/answer/"
    for path in ("/", "/questions/", f"/runs/{run.id}/"):
        found = bob.get(path)
        check(found)
        assert "How many, and what?" in Page(found).text, path
        assert where in {e.attributes.get("href") for e in Page(found).elements}, path
    form = bob.get(where)
    check(form)
    asked = {"form_id": Page(form).field("form_id").attributes["value"]}

    wrong = bob.post(where, **asked, **{"input.count": "0"})
    check(wrong)
    assert wrong.status_code == 422
    assert "0 is less than the minimum of 1." in Page(wrong).text

    given = bob.post(where, **asked, **{"input.count": "2", "input.word": "x"})
    assert given.status_code == 302
    assert "bob answered" in Page(bob.get(where)).text
    assert "No questions" in Page(bob.get("/questions/")).text
    late = bob.post(where, **asked, **{"input.count": "3"})
    assert late.status_code == 422
    assert "bob has answered this question already." in Page(late).text
    world.settle()
    assert world.result(run) == [2, "x"]


def test_many_runs_are_counted_then_named_once_more_then_steered(
    world: World, alice: Visitor
) -> None:
    for _ in range(3):
        world.start("sleeping", seconds=1000.0)
    world.settle()
    where = "/runs/bulk/?workflow=sleeping"
    shown = alice.get(where)
    check(shown)
    page = Page(shown)
    assert "3 runs" in page.texts("h2")
    fingerprint = page.field("fingerprint").attributes["value"]

    without = alice.post(where, verb="pause", fingerprint=fingerprint)
    assert without.status_code == 422 and "Say why" in Page(without).text
    confirm = alice.post(where, verb="pause", fingerprint=fingerprint, reason=WHY)
    check(confirm)
    assert "pause 3 runs." in Page(confirm).texts("h1")
    assert not Run.objects.filter(status="paused").exists()

    world.start("sleeping", seconds=1000.0)
    form = {"verb": "pause", "fingerprint": fingerprint, "reason": WHY, "step": "confirmed"}
    stale = alice.post(where, **form)
    assert stale.status_code == 422 and "4 of them" in Page(stale).text
    assert not Run.objects.filter(status="paused").exists()

    form["fingerprint"] = Page(alice.get(where)).field("fingerprint").attributes["value"]
    done = alice.post(where, **form)
    check(done)
    assert "4 runs asked to pause" in Page(done).texts("h1")
    assert Run.objects.filter(status="paused").count() == 4
    assert AuditEntry.objects.get(action="bulk_steered").detail["count"] == 4


def test_bulk_says_to_narrow_what_says_nothing(alice: Visitor) -> None:
    assert "Say which runs" in Page(alice.get("/runs/bulk/")).text
    wrong = alice.get("/runs/bulk/", created_from="yesterday")
    check(wrong)
    assert wrong.status_code == 422


def test_a_quarantined_run_shows_both_sides_and_what_to_do(world: World, alice: Visitor) -> None:
    run = world.start("changing")
    world.settle()
    (zoo.world_dir() / "broken-code").write_text("1")
    with as_role("placet_web"):
        alice.post(f"/runs/{run.id}/signal/", form_id=str(run.id), name="go")
    world.settle()
    shown = alice.get(f"/runs/{run.id}/")
    check(shown)
    text = Page(shown).text
    assert "The journal holds" in text and "The code asks for" in text
    assert "Nothing is lost, and nothing is guessed." in text
    assert "changing is quarantined" in Page(alice.get("/")).text
    (zoo.world_dir() / "broken-code").unlink()
    alice.post(f"/runs/{run.id}/resume/", confirmed="yes")
    world.settle()
    assert Run.objects.get().status == "succeeded"


def test_children_are_counted_and_those_that_need_a_look_come_first(
    world: World, alice: Visitor
) -> None:
    children = [{"workflow": "adding", "input": {"numbers": [1]}}] * 24
    children.append({"workflow": "sleeping", "input": {"seconds": 1000.0}})
    parent = world.start("parenting", children=children)
    world.settle()
    shown = alice.get(f"/runs/{parent.id}/")
    check(shown)
    text = Page(shown).text
    assert "1 of the 25 runs that it started" in text
    assert "See all 25 children" in text
    family = Page(shown).text.partition("Children 25")[2]
    assert family.index("sleeping") < family.index("adding")
    listed = Page(alice.get("/runs/", parent=str(parent.id)))
    assert "Children of run" in listed.text
    child = Run.objects.filter(parent=parent).first()
    assert child is not None
    assert "Started by" in Page(alice.get(f"/runs/{child.id}/")).text
    assert "No run matches" in Page(alice.get("/runs/", parent="nonsense")).text


def test_what_was_undone_and_what_was_not_is_said(world: World, alice: Visitor) -> None:
    make_operators(world)
    (zoo.world_dir() / "unbook-refuses").write_text("1")
    run = world.start("travelling", places=["Rome", "Oslo"], ends_well=False)
    world.settle()
    shown = alice.get(f"/runs/{run.id}/")
    check(shown)
    text = Page(shown).text
    assert "undoes step 3" in text
    assert "It ends: it counts as failed once what it did is undone." in text
