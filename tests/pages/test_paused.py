"""A paused step: five answers, each with what it does, reviewed before it counts."""

from __future__ import annotations

import pytest
from django.http import HttpResponse

from runs import canonical
from runs.models import Run, Settlement, Step
from tests.doubts import make_operators, paused_seat
from tests.harness import World
from tests.pages.test_markup import check
from tests.pages.visitors import Page, Visitor, visit_as


@pytest.fixture
def step(world: World) -> Step:
    """A step of Alice's run whose attempts are spent: the office was closed each time."""
    make_operators(world)
    return paused_seat(world)


@pytest.fixture
def carol(world: World) -> Visitor:
    return visit_as(world.carol)


def address(step: Step) -> str:
    return f"/runs/{step.run_id}/steps/{step.position}/settle/"


def say(visitor: Visitor, about: Step, answer: str, **form: str) -> HttpResponse:
    asked = {"answer": answer, "attempt": str(about.attempt), "reason": "It is open again."}
    return visitor.post(address(about), **(asked | form))


def test_each_answer_says_what_it_does(world: World, carol: Visitor, step: Step) -> None:
    answer = carol.get(address(step))
    check(answer)
    page = Page(answer)
    assert page.texts("h1") == ["seat has not worked, and is not tried again by itself."]
    for word in ("Retry", "Retry with other arguments", "Skip with this result", "Undo and end",
                 "Give up"):  # fmt: skip
        assert word in page.texts("button"), word
    assert '"name": "Ada"' in page.field("arguments").text
    for path in ("/", f"/runs/{step.run_id}/"):
        shown = carol.get(path)
        check(shown)
        assert address(step) in {e.attributes.get("href") for e in Page(shown).elements}
    assert "somebody else must settle it" in Page(visit_as(world.alice).get(address(step))).text


def test_a_retry_is_tried_again(world: World, carol: Visitor, step: Step) -> None:
    review = say(carol, step, "retry")
    check(review)
    assert "its attempts are counted anew" in Page(review).text
    say(carol, step, "retry", step="confirmed")
    world.settle()
    assert world.result(step.run) == {"name": "Ada", "seats": 1}


def test_other_arguments_are_checked_place_by_place_and_stand_in_its_place(
    world: World, carol: Visitor, step: Step
) -> None:
    wrong = say(carol, step, "retry_with", arguments='{"name": 7, "colour": "red"}')
    check(wrong)
    page = Page(wrong)
    assert "name: 7 is not of type 'string'." in page.text
    assert "colour" in page.text
    assert not Settlement.objects.exists()

    given = '{"name": "Ada Lovelace", "seats": 2}'
    review = say(carol, step, "retry_with", arguments=given)
    check(review)
    assert "Ada Lovelace" in Page(review).text
    say(carol, step, "retry_with", arguments=given, step="confirmed")
    world.settle()
    assert world.result(step.run) == {"name": "Ada Lovelace", "seats": 2}
    shown = carol.get(f"/runs/{step.run_id}/")
    check(shown)
    assert "1.2" in Page(shown).texts("span")


def test_a_skipped_step_gives_the_result_that_was_typed(
    world: World, carol: Visitor, step: Step
) -> None:
    without = say(carol, step, "skip", step="confirmed")
    assert without.status_code == 422
    say(carol, step, "skip", result='{"seats": 0}', step="confirmed")
    world.settle()
    assert world.result(step.run) == {"seats": 0}
    said = Settlement.objects.get()
    assert canonical.decode(said.result) == {"seats": 0}


@pytest.mark.parametrize("answer", ["give_up", "undo"])
def test_what_is_given_up_or_undone_fails_the_run(
    world: World, carol: Visitor, step: Step, answer: str
) -> None:
    say(carol, step, answer, step="confirmed")
    world.settle()
    assert Run.objects.get().status == "failed"
    check(carol.get(f"/runs/{step.run_id}/"))


def test_an_answer_for_doubts_is_none_here(carol: Visitor, step: Step) -> None:
    refused = say(carol, step, "did_not_happen", step="confirmed")
    assert refused.status_code == 422
    assert not Settlement.objects.exists()
