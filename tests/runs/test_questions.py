"""Questions that runs ask people."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection

from runs import canonical, questions, schemas
from runs.errors import AlreadyEnded, InvalidInput
from runs.models import Event, Run, Step, new_id
from tests.harness import World, as_role


def asked(world: World) -> tuple[Run, Step]:
    run = world.start("asking")
    world.settle()
    return run, world.steps(run)[0]


def answer(world: World, step: Step, values: Any, person: Any = None) -> Any:
    with as_role("placet_web"):
        return questions.answer(step=step, person=person or world.bob, values=values)


def test_an_answer_goes_to_the_run_that_asked(world: World) -> None:
    run, step = asked(world)
    assert (step.kind, step.status) == ("ask", "waiting")
    assert world.run_now(run).waiting_for == "the answer to a question"
    question, form = questions.form_of(step)
    assert question == "How many, and what?"
    assert form["required"] == ["count"]
    answer(world, step, {"count": 2, "word": "cats"})
    assert questions.find_answer(step) is not None
    world.settle()
    assert world.result(run) == [2, "cats"]
    event = Event.objects.get(run=run, kind="question.answered")
    assert (event.actor, event.position) == ("bob", 0)


@pytest.mark.parametrize(
    ("values", "pointer", "said"),
    [
        ({"count": 0}, "/count", "0 is less than the minimum of 1."),
        ({"count": "2"}, "/count", "'2' is not of type 'integer'."),
        ({}, "", "'count' is a required property."),
        ({"count": 1, "x": 1}, "", "Additional properties are not allowed"),
        ([], "", "[] is not of type 'object'."),
    ],
)
def test_an_answer_that_does_not_fit_changes_nothing(
    world: World, values: Any, pointer: str, said: str
) -> None:
    run, step = asked(world)
    with pytest.raises(InvalidInput) as refused:
        answer(world, step, values)
    assert refused.value.errors[0][0] == pointer
    assert refused.value.errors[0][1].startswith(said)
    assert world.run_now(run).status == "waiting"


def test_a_question_is_answered_once(world: World) -> None:
    _, step = asked(world)
    answer(world, step, {"count": 2})
    with pytest.raises(AlreadyEnded, match="bob has answered this question already"):
        answer(world, step, {"count": 3}, world.carol)
    world.settle()
    with pytest.raises(AlreadyEnded, match="Nobody waits for an answer"):
        answer(world, Step.objects.get(pk=step.pk), {"count": 3}, world.carol)


def test_of_two_answers_at_once_one_is_taken(world: World) -> None:
    run, step = asked(world)
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def say(person: Any, count: int) -> None:
        from django.db import connection

        barrier.wait()
        try:
            questions.answer(step=step, person=person, values={"count": count})
            outcomes.append("taken")
        except Exception as error:
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=say, args=[world.bob, 2]),
        threading.Thread(target=say, args=[world.carol, 3]),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("taken") == 1
    world.settle()
    assert world.result(run) in ([2, None], [3, None])


def test_a_question_that_nobody_answers_in_time(world: World) -> None:
    run = world.start("asking", timeout=0.01)
    for _ in range(100):
        world.settle()
        if world.run_now(run).finished_at:
            break
    assert (world.run_now(run).error or {})["kind"] == "TimedOut"


DOUBLED: dict[str, Any] = {
    f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n - 1}"}] * 2} for n in range(1, 41)
}
LAUGHS: dict[str, Any] = {"$defs": {"a0": {"type": "string"}, **DOUBLED}, "$ref": "#/$defs/a40"}


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"$ref": "http://127.0.0.1:9/form"}, "refers to its own parts alone"),
        ({"properties": {"a": {"$ref": "file:///etc/hosts"}}}, "refers to its own parts alone"),
        ({"properties": {"default": {"$ref": "other"}}}, "refers to its own parts alone"),
        ({"$id": "file:///etc/", "$ref": "#/$defs/a"}, "a base of its own"),
        ({"$ref": "#/$defs/none"}, "refers to its own parts alone"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}}, "to itself"),
        ({"properties": {"a": {"type": "string", "pattern": "^(a|a)*$"}}}, "a pattern"),
        ({"patternProperties": {"^(a|a)*$": {}}}, "a pattern"),
        ({"properties": {"a": True}}, "is an object"),
        (True, "is an object"),
        (LAUGHS, "at most 2000 parts"),
        ({"type": "nothing"}, "no JSON Schema"),
    ],
)
def test_a_form_that_would_fetch_or_never_end_is_asked_of_nobody(
    world: World, form: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        schemas.check_form(form)
    run = world.start("asking")
    arguments = canonical.encode({"question": "Well?", "form": form, "timeout_seconds": None})
    with as_role("placet_worker"), connection.cursor() as cursor:
        # The process that runs the code of agents writes what it likes.
        cursor.execute(
            "INSERT INTO runs_step (id, tenant, run_id, position, kind, name, effect, is_money,"
            " is_remote, status, arguments, digest, key, attempt, failures, held_because,"
            " created_at) VALUES (%s, %s, %s, 7, 'ask', 'ask', 'safe', false, false, 'waiting',"
            " %s, '', '', 1, 0, '', now())",
            [new_id(), world.tenant, run.id, arguments],
        )
    step = Step.objects.get(run=run, position=7)
    with pytest.raises(InvalidInput, match=said):
        answer(world, step, {"a": "a" * 40 + "!"})


def test_a_form_may_name_its_parts_as_it_likes() -> None:
    word = {"type": "string", "maxLength": 5}
    names = ("pattern", "$ref", "$id", "properties", "patternProperties")
    form = {
        "type": "object",
        "properties": {name: {"$ref": "#/$defs/a word~1s"} for name in names},
        "$defs": {"a word/s": word},
    }
    schemas.check_form(form)
    assert schemas.faults(form, {"pattern": "short", "$ref": "too long"})[0][0] == "/$ref"


@pytest.mark.parametrize(
    "arguments",
    [b"", b"[]", b"{}", b'{"question":"?","form":"x"}', b'{"question":"?","form":{"type":5}}'],
)
def test_what_is_no_question_stands_beside_those_that_are(world: World, arguments: bytes) -> None:
    """A worker's SQL may write any bytes there: pages and lists go on, and nothing is answered."""
    _run, step = asked(world)
    with as_role("postgres"), connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE runs_step SET arguments = %s WHERE id = %s", [arguments, step.id])
    step.refresh_from_db()
    assert questions.form_of(step) == (
        "This question cannot be read: what the workflow asked is no question with a form.",
        {"type": "object", "properties": {}},
    )
    with pytest.raises(InvalidInput):
        answer(world, step, {})
    assert questions.find_answer(step) is None
