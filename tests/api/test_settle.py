"""POST runs/{id}/steps/{position}/settlements, and what a step's settlements look like."""

from __future__ import annotations

from typing import Any

import pytest

from console.models import AuditEntry
from runs.models import Settlement, Step
from tests import zoo
from tests.api import callers
from tests.doubts import doubtful, doubtful_payment, make_operators, paused_seat
from tests.harness import World

HAPPENED = {"answer": "happened", "result": {"name": "x"}, "reason": "Asked them."}
GIVE_UP = {"answer": "give_up", "reason": "Nobody answers there."}


@pytest.fixture
def step(world: World) -> Step:
    """A launch of Alice's in doubt."""
    make_operators(world)
    return doubtful(world)


@pytest.fixture
def carol(world: World) -> callers.Caller:
    return callers.with_token(world.carol)


def path(step: Step) -> str:
    return f"runs/{step.run_id}/steps/{step.position}/settlements"


def test_an_answer_is_recorded_once_and_settles_the_step(
    world: World, step: Step, carol: callers.Caller
) -> None:
    first = carol.post(path(step), HAPPENED, Idempotency_Key="k")
    again = carol.post(path(step), HAPPENED, Idempotency_Key="k")
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    said = first.json()
    assert (said["person"], said["answer"], said["attempt"]) == ("carol", "happened", 1)
    assert said["result"] == {"name": "x"}
    assert AuditEntry.objects.filter(action="doubt_settled", actor="carol").count() == 1
    world.settle()
    (shown,) = carol.get(f"runs/{step.run_id}").json()["steps"]
    assert (shown["status"], shown["result"]) == ("succeeded", {"name": "x"})
    assert shown["settlements"] == [said]


def test_for_money_two_must_say_the_same(world: World, carol: callers.Caller) -> None:
    make_operators(world)
    step = doubtful_payment(world)
    assert carol.post(path(step), GIVE_UP).status_code == 201
    world.settle()
    shown = carol.get(f"runs/{step.run_id}").json()["steps"][step.position]
    assert (shown["status"], len(shown["settlements"])) == ("in_doubt", 1)
    assert callers.with_token(world.bob).post(path(step), GIVE_UP).status_code == 201
    world.settle()
    shown = carol.get(f"runs/{step.run_id}").json()["steps"][step.position]
    assert (shown["status"], len(shown["settlements"])) == ("failed", 2)


INVALID: list[tuple[dict[str, Any], str, str]] = [
    ({"answer": "perhaps"}, "/answer", "Input should be 'happened'"),
    ({"reason": "  "}, "/reason", "String should have at least 1"),
    ({"reason": "x" * 1001}, "/reason", "String should have at most 1000"),
    ({"colour": "red"}, "/colour", "This field is not known."),
    ({"answer": "give_up"}, "/result", "Only what happened, or is skipped, has a result."),
    ({"attempt": 0}, "/attempt", "Input should be greater than or equal to 1"),
]


@pytest.mark.parametrize(("changed", "pointer", "said"), INVALID)
def test_what_is_no_answer_is_refused_at_its_field(
    step: Step, carol: callers.Caller, changed: dict[str, Any], pointer: str, said: str
) -> None:
    before = callers.written()
    answer = carol.post(path(step), HAPPENED | changed, Idempotency_Key="k")
    assert callers.problem(answer) == (422, "invalid-request")
    assert callers.faults(answer)[pointer].startswith(said)
    assert (callers.written(), Settlement.objects.count()) == (before, 0)
    assert carol.post(path(step), HAPPENED, Idempotency_Key="k").status_code == 201


def test_that_it_happened_needs_a_result_if_only_null(step: Step, carol: callers.Caller) -> None:
    answer = carol.post(path(step), {"answer": "happened", "reason": "Asked."})
    assert callers.problem(answer) == (422, "invalid-request")
    assert callers.faults(answer) == {
        "/result": "Say with what result it happened; null where there is none."
    }
    assert carol.post(path(step), HAPPENED | {"result": None}).status_code == 201


def test_a_result_is_as_small_as_any_result(step: Step, carol: callers.Caller) -> None:
    answer = carol.post(path(step), HAPPENED | {"result": "x" * 262_144})
    assert callers.problem(answer) == (413, "too-large")
    assert not Settlement.objects.exists()


def test_who_may_not_settle_is_told_why_and_nothing_is_recorded(
    world: World, step: Step, alice: callers.Caller, carol: callers.Caller
) -> None:
    own = alice.post(path(step), GIVE_UP)
    assert callers.problem(own) == (409, "settlement-refused")
    assert own.json()["detail"] == "You requested this run, so somebody else must settle it."
    assert not Settlement.objects.exists()
    assert not AuditEntry.objects.filter(action="doubt_settled").exists()
    late = carol.post(path(step), GIVE_UP | {"attempt": 2})
    assert callers.problem(late) == (409, "settlement-refused")
    assert late.json()["detail"] == "You looked up attempt 2, but there is attempt 1 by now."
    assert carol.post(path(step), GIVE_UP).status_code == 201
    twice = carol.post(path(step), GIVE_UP)
    assert callers.problem(twice) == (409, "settlement-refused")
    world.settle()
    over = callers.with_token(world.erin).post(path(step), GIVE_UP)
    assert over.json()["detail"] == "The step is failed, so there is no doubt to settle."
    assert AuditEntry.objects.filter(action="doubt_settled").count() == 1


def test_an_answer_about_an_earlier_attempt_does_not_count_for_the_new_one(
    world: World, step: Step, carol: callers.Caller
) -> None:
    (zoo.world_dir() / "launch-drops").write_text("1")
    erin = callers.with_token(world.erin)
    assert erin.post(path(step), {"answer": "did_not_happen", "reason": "x"}).status_code == 201
    world.settle()
    late = carol.post(path(step), HAPPENED | {"attempt": 1})
    assert late.json()["detail"] == "You looked up attempt 1, but there is attempt 2 by now."
    assert carol.post(path(step), HAPPENED | {"attempt": 2}).status_code == 201


def test_a_step_of_others_or_of_nobody_is_not_there(
    step: Step, carol: callers.Caller, olivia: callers.Caller
) -> None:
    assert callers.problem(olivia.post(path(step), GIVE_UP)) == (404, "not-found")
    for position in ("7", "-1", "x", str(2**70)):
        answer = carol.post(f"runs/{step.run_id}/steps/{position}/settlements", GIVE_UP)
        assert callers.problem(answer) == (404, "not-found"), position
    assert not Settlement.objects.exists()


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ({"answer": "retry"}, {"name": "Ada", "seats": 1}),
        ({"answer": "retry_with", "arguments": {"name": "Bo"}}, {"name": "Bo", "seats": 1}),
        ({"answer": "skip", "result": None}, None),
    ],
)
def test_a_paused_step_goes_on_as_it_was_said(
    world: World, carol: callers.Caller, body: dict[str, Any], result: Any
) -> None:
    make_operators(world)
    step = paused_seat(world)
    doubt = carol.post(path(step), GIVE_UP | {"answer": "did_not_happen"})
    assert callers.problem(doubt) == (409, "settlement-refused")
    assert carol.post(path(step), {"reason": "It is open again."} | body).status_code == 201
    world.settle()
    assert (world.run_now(step.run).status, world.result(step.run)) == ("succeeded", result)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"answer": "retry_with"}, "/arguments"),
        ({"answer": "retry", "arguments": {"name": "Bo"}}, "/arguments"),
        ({"answer": "retry", "result": 1}, "/result"),
        ({"answer": "skip"}, "/result"),
    ],
)
def test_what_does_not_go_with_an_answer_is_said_at_its_field(
    step: Step, carol: callers.Caller, body: dict[str, Any], field: str
) -> None:
    refused = carol.post(path(step), {"reason": "x"} | body)
    assert callers.problem(refused) == (422, "invalid-request")
    assert list(callers.faults(refused)) == [field]
