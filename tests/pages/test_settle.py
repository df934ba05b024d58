"""The page on which a step in doubt is settled, and where pages lead to it."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from console.models import AuditEntry
from console.roles import set_roles
from runs.models import Run, Settlement, Step
from tests import zoo
from tests.approvals.proposals import frozen
from tests.approvals.test_thresholds import rule
from tests.doubts import doubtful, doubtful_payment, make_operators
from tests.harness import World, as_role
from tests.pages.test_markup import check
from tests.pages.visitors import Page, Visitor, visit_as
from tests.zoo import ledger

UNKNOWN = "Nobody knows whether €98.70 was paid to GB29NWBK60161331926810."


@pytest.fixture
def step(world: World) -> Step:
    """A launch in doubt, which Carol or Erin may settle."""
    make_operators(world)
    return doubtful(world)


@pytest.fixture
def carol(world: World) -> Visitor:
    return visit_as(world.carol)


def address(step: Step) -> str:
    return reverse("step-settle", args=[step.run_id, step.position])


def say(visitor: Visitor, step: Step, answer: str, /, **form: Any) -> Any:
    given = {"answer": answer, "reason": "Asked them.", "attempt": step.attempt}
    return visitor.post(address(step), **(given | form))


def buttons(response: Any) -> list[str]:
    found = [b for b in Page(response).all("button") if b.attributes.get("name") == "answer"]
    return [b.text.strip() for b in found]


def test_the_page_says_what_is_not_known_and_what_each_answer_does(
    carol: Visitor, step: Step
) -> None:
    answer = carol.get(address(step))

    check(answer)
    page = Page(answer)
    assert page.texts("h1") == ["Nobody knows whether launch took effect."]
    for said in (
        "ConnectionResetError", "the connection was dropped", step.key,
        "One person must say what became of it.", "since",
        "it happens twice: nothing protects from that", "The doubt stays on record.",
    ):  # fmt: skip
        assert said in page.text, said
    assert buttons(answer) == [
        "It happened",
        "It did not happen: run it again",
        "Undo and end",
        "Give up",
    ]
    assert not [e for e in page.elements if "checked" in e.attributes]


def test_an_answer_counts_only_when_it_was_reviewed_once_more(
    world: World, carol: Visitor, step: Step
) -> None:
    review = say(carol, step, "happened", result='{"name": "x"}')

    check(review)
    assert "You are about to say:" in Page(review).text
    assert "It counts at once. The step ends well with the result" in Page(review).text
    assert not Settlement.objects.exists()

    answer = say(carol, step, "happened", result='{"name": "x"}', step="confirmed")

    assert answer.headers["Location"] == address(step)
    said = Settlement.objects.get()
    assert (said.person, said.answer, said.reason) == (world.carol, "happened", "Asked them.")
    entry = AuditEntry.objects.get(action="doubt_settled")
    assert (entry.actor, entry.detail["answer"]) == ("carol", "happened")
    world.settle()
    assert world.result(step.run) == {"name": "x"}
    page = Page(carol.get(address(step)))
    assert page.texts("h1") == ["launch is not in doubt."]
    assert "Asked them." in page.text
    assert "Asked them." in Page(carol.get(f"/runs/{step.run_id}/")).text
    assert "Said what became of a step" in Page(visit_as(world.erin).get("/audit/")).text


def test_what_did_not_happen_is_run_again(world: World, carol: Visitor, step: Step) -> None:
    say(carol, step, "did_not_happen", step="confirmed")
    world.settle()

    assert Run.objects.get().status == "succeeded"
    assert len(ledger("launched")) == 2


def test_going_back_from_the_review_keeps_what_was_typed(carol: Visitor, step: Step) -> None:
    answer = say(carol, step, "happened", result="[1]", reason="Seen <b>it</b>.", step="back")

    page = Page(answer)
    assert page.field("reason").text.strip() == "Seen <b>it</b>."
    assert page.field("result").text.strip() == "[1]"
    assert not Settlement.objects.exists()


WRONG = [
    ("happened", {}, "Give the result"),
    ("happened", {"result": "TX-17"}, "This is not JSON"),
    ("happened", {"result": '{"a": 1, "a": 2}'}, "the name 'a' twice"),
    ("happened", {"result": '"' + "x" * 262_144 + '"'}, "at most 262144 are kept"),
    ("give_up", {"result": "1"}, "Only what happened has a result"),
    ("give_up", {"reason": "  "}, "Say how you know it"),
    ("give_up", {"reason": "x" * 1001}, "at most 1000 characters"),
    ("perhaps", {}, "Choose one of the answers"),
    ("give_up", {"attempt": "x"}, "Load it again"),
]


@pytest.mark.parametrize(("answer", "form", "said"), WRONG)
def test_what_is_no_answer_is_said_and_nothing_is_recorded(
    carol: Visitor, step: Step, answer: str, form: dict[str, str], said: str
) -> None:
    refused = say(carol, step, answer, **form, step="confirmed")

    check(refused)
    assert refused.status_code == 422
    assert said in Page(refused).text
    assert not Settlement.objects.exists()
    assert not AuditEntry.objects.filter(action="doubt_settled").exists()
    assert say(carol, step, "give_up", step="confirmed").status_code == 302


def test_who_looked_up_an_earlier_attempt_says_nothing_of_the_new_one(
    world: World, carol: Visitor, step: Step
) -> None:
    (zoo.world_dir() / "launch-drops").write_text("1")
    say(visit_as(world.erin), step, "did_not_happen", step="confirmed")
    world.settle()

    refused = say(carol, step, "happened", result="1", step="confirmed")

    assert refused.status_code == 409
    assert "You looked up attempt 1, but there is attempt 2 by now." in Page(refused).text
    assert Settlement.objects.get().person == world.erin


def test_for_money_two_must_say_the_same(world: World, carol: Visitor) -> None:
    make_operators(world)
    step = doubtful_payment(world)
    assert "Two people must say (the same) what became of it." in Page(carol.get("/")).text

    review = say(carol, step, "happened", result="1")
    assert "Your answer is counted. One person more must say the same." in Page(review).text
    say(carol, step, "happened", result="1", step="confirmed")
    world.settle()

    after = carol.get(address(step))
    check(after)
    assert "You have answered: it happened. One person has one voice." in Page(after).text
    assert buttons(after) == []
    for path in ("/", f"/runs/{step.run_id}/", address(step)):
        shown = Page(carol.get(path))
        assert UNKNOWN in shown.text, path
        assert "1 of 2 equal answers so far." in shown.text, path
    assert say(carol, step, "happened", result="1", step="confirmed").status_code == 409

    bob = visit_as(world.bob)
    assert (
        "To confirm what carol says, give the same result: 1" in Page(bob.get(address(step))).text
    )
    review = say(bob, step, "happened", result=" 1 ")
    assert "It counts at once." in Page(review).text
    say(bob, step, "happened", result=" 1 ", step="confirmed")
    assert "it is being settled" in Page(bob.get(address(step))).text
    world.execute()
    assert Step.objects.get(pk=step.pk).status == "succeeded"
    assert ledger("paid") == []


def test_people_who_differ_are_told_so(world: World, carol: Visitor) -> None:
    make_operators(world)
    step = doubtful_payment(world)
    say(carol, step, "give_up", step="confirmed")
    say(visit_as(world.bob), step, "did_not_happen", step="confirmed")
    world.settle()

    text = Page(carol.get(address(step))).text
    assert "1 of 2 equal answers so far: people differ." in text
    assert Step.objects.get(pk=step.pk).status == "in_doubt"


def test_who_requested_is_told_who_may(world: World, alice: Visitor, step: Step) -> None:
    shown = alice.get(address(step))

    check(shown)
    text = Page(shown).text
    assert "You requested this run, so somebody else must settle it." in text
    assert "These may: bob, carol, erin." in text
    assert buttons(shown) == []
    assert say(alice, step, "give_up", step="confirmed").status_code == 409
    assert not Settlement.objects.exists()


def test_what_is_in_force_for_everybody_is_said_here_once_and_whole(
    world: World, alice: Visitor, step: Step
) -> None:
    assert not [e for e in Page(alice.get(address(step))).elements if e.attributes.get("role")
                == "region"]  # fmt: skip
    frozen(world, "tool", "launch")
    shown = alice.get(address(step))
    banners = [e for e in Page(shown).elements if e.attributes.get("role") == "region"]
    assert [" ".join(e.text.split()) for e in banners] == [
        "The tool launch is frozen. Something is wrong.Freezes"
    ]


def test_who_is_no_operator_is_told_who_may(world: World, step: Step) -> None:
    dave = visit_as(world.dave)
    shown = dave.get(address(step))

    assert "Operators who did not request the run settle it." in Page(shown).text
    assert buttons(shown) == []
    assert say(dave, step, "give_up", step="confirmed").status_code == 403
    assert not Settlement.objects.exists()


@pytest.mark.parametrize("group", ["payments", "EU-Payments"])
def test_money_is_settled_by_those_whom_its_gate_asks(world: World, group: str) -> None:
    """The group is called by its name, as it is written."""
    make_operators(world)
    world.join("EU-Payments", world.bob, world.carol)
    world.publish(rule({"group": group, "count": 1}))
    step = doubtful_payment(world)
    erin = visit_as(world.erin)

    text = Page(erin.get(address(step))).text
    assert f"Operators of the group {group} who did not request the run settle it." in text
    assert "These may: bob, carol." in text
    assert say(erin, step, "give_up", step="confirmed").status_code == 409
    assert not Settlement.objects.exists()


def test_money_is_settled_by_those_who_had_the_role_that_its_gate_asks(world: World) -> None:
    """Erin is a reviewer too, but only since after the request was made."""
    make_operators(world)
    world.publish(rule({"role": "reviewer", "count": 1}))
    step = doubtful_payment(world)
    with as_role("placet_owner"):
        set_roles(world.erin, {"operator", "reviewer"})
    erin = visit_as(world.erin)

    text = Page(erin.get(address(step))).text
    assert "Operators with the role reviewer who did not request the run settle it." in text
    assert "These may: bob, carol." in text
    assert say(erin, step, "give_up", step="confirmed").status_code == 409
    assert not Settlement.objects.exists()
    assert say(visit_as(world.carol), step, "give_up", step="confirmed").status_code == 302
    assert Settlement.objects.get().person == world.carol


@pytest.mark.parametrize("name", ["carol", "erin"])
def test_above_a_doubt_stands_what_is_in_force_for_everybody_and_nothing_else(
    world: World, name: str
) -> None:
    """Carol settles it, and Erin reads why she does not."""
    make_operators(world)
    step = doubtful_payment(world)
    visitor = visit_as(getattr(world, name))

    def banners() -> list[str]:
        found = Page(visitor.get(address(step))).all("div")
        return [e.text for e in found if e.attributes.get("aria-label") == "In force for everybody"]

    assert banners() == []
    frozen(world)
    (shown,) = banners()
    assert "Everything is frozen." in shown


def test_too_few_operators_are_said_to_be_too_few(world: World, bob: Visitor) -> None:
    step = doubtful(world)

    text = Page(bob.get(address(step))).text
    assert "One person must say the same, but of operators besides the requester there is" in text
    assert "manage.py person set-role" in text


def test_the_form_shows_what_the_tool_gave_another_time(world: World, carol: Visitor) -> None:
    make_operators(world)
    world.start("launching", name="earlier")
    world.settle()
    step = doubtful(world)

    text = Page(carol.get(address(step))).text
    assert 'launch gave this another time: {"name":"earlier"}' in text


def test_in_a_run_that_is_to_be_cancelled_nothing_is_run_again(
    world: World, carol: Visitor, step: Step
) -> None:
    visit_as(world.alice).post(f"/runs/{step.run_id}/cancel/", confirmed="yes")

    assert "The step is cancelled with its run" in Page(carol.get(address(step))).text
    say(carol, step, "did_not_happen", step="confirmed")
    world.settle()
    assert Run.objects.get().status == "cancelled"
    assert len(ledger("launched")) == 1


def test_the_live_part_is_only_that_part(carol: Visitor, step: Step) -> None:
    html = carol.get(f"{address(step)}?part=standing", part=True).content.decode()

    assert "Nobody knows" in html
    assert "<html" not in html


@pytest.mark.parametrize("position", [7, 2**40])
def test_a_step_that_is_not_there_looks_like_nothing(
    carol: Visitor, step: Step, position: int
) -> None:
    assert carol.get(f"/runs/{step.run_id}/steps/{position}/settle/").status_code == 404
