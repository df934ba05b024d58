"""Steering, forking, signals, questions and bulk, as programs ask for them."""

from __future__ import annotations

import pytest

from console.models import AuditEntry
from runs.models import Event, Run, Signal
from tests.api import callers
from tests.harness import World

WHY = {"reason": "The bank is closed."}


@pytest.fixture
def sleeper(world: World) -> Run:
    run = world.start("sleeping", seconds=1000.0)
    world.settle()
    return run


def test_a_run_is_paused_and_resumed_with_a_reason_that_is_kept(
    world: World, alice: callers.Caller, sleeper: Run
) -> None:
    paused = alice.post(f"runs/{sleeper.id}/pause", WHY, Idempotency_Key="k")
    again = alice.post(f"runs/{sleeper.id}/pause", WHY, Idempotency_Key="k")
    assert paused.status_code == again.status_code == 202
    assert paused.content == again.content
    shown = paused.json()
    assert (shown["status"], shown["steered_because"]) == ("paused", "The bank is closed.")
    event = Event.objects.get(run=sleeper, kind="run.paused")
    assert event.actor == "alice"
    assert AuditEntry.objects.filter(action="run_paused", actor="alice").count() == 1

    resumed = alice.post(f"runs/{sleeper.id}/resume")
    assert resumed.status_code == 202 and resumed.json()["status"] == "ready"
    nothing = alice.post(f"runs/{sleeper.id}/resume")
    assert callers.problem(nothing) == (409, "steering-refused")


def test_cancel_takes_no_body_an_empty_one_or_a_reason(world: World, alice: callers.Caller) -> None:
    for body in (None, {}, WHY):
        run = world.start("sleeping", seconds=1000.0)
        world.settle()
        assert alice.post(f"runs/{run.id}/cancel", body).status_code == 202, body
        world.settle()
        ended = alice.get(f"runs/{run.id}").json()
        assert ended["status"] == "cancelled"
        assert callers.problem(alice.post(f"runs/{run.id}/cancel", body)) == (409, "already-ended")


@pytest.mark.parametrize("verb", ["pause", "terminate"])
def test_what_needs_a_reason_is_refused_without_one(
    world: World, alice: callers.Caller, sleeper: Run, verb: str
) -> None:
    refused = alice.post(f"runs/{sleeper.id}/{verb}", {"reason": " "})
    assert callers.problem(refused) == (409, "steering-refused")
    assert refused.json()["detail"] == "Say why: a reason is needed."
    assert alice.post(f"runs/{sleeper.id}/{verb}", WHY).status_code == 202


def test_a_terminated_run_ends_with_nothing_undone(
    world: World, alice: callers.Caller, sleeper: Run
) -> None:
    alice.post(f"runs/{sleeper.id}/terminate", WHY)
    world.settle()
    assert alice.get(f"runs/{sleeper.id}").json()["status"] == "cancelled"


def test_a_fork_names_where_it_comes_from_and_is_of_who_asked(
    world: World, alice: callers.Caller
) -> None:
    run = world.start("adding", numbers=[1, 2, 3])
    world.settle()
    olga = callers.with_token(callers.make_person("olga", "operator", tenant=world.tenant))
    answer = olga.post(f"runs/{run.id}/fork", {"at": 1})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["forked_from_id"], made["forked_at"]) == (str(run.id), 1)
    assert made["requested_by"] == "olga"
    world.settle()
    shown = olga.get(f"runs/{made['id']}").json()
    assert shown["status"] == "succeeded"
    assert [bool(step["copied_from"]) for step in shown["steps"]] == [True, False, False]
    assert [fork["id"] for fork in olga.get(f"runs/{run.id}").json()["forks"]] == [made["id"]]
    late = olga.post(f"runs/{run.id}/fork", {"at": 9})
    assert callers.problem(late) == (409, "fork-refused")
    other = olga.post(f"runs/{run.id}/fork", {"at": 0, "input": {"numbers": "x"}})
    assert callers.problem(other) == (422, "invalid-input")
    assert list(callers.faults(other)) == ["/input/numbers"]


def test_a_signal_is_sent_once_under_its_key_and_taken_by_the_run(
    world: World, alice: callers.Caller
) -> None:
    run = world.start("listening", signals=["go"])
    world.settle()
    where = f"runs/{run.id}/signals/go"
    first = alice.post(where, {"payload": {"ok": True}}, Idempotency_Key="k")
    again = alice.post(where, {"payload": {"ok": True}}, Idempotency_Key="k")
    assert (first.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert Signal.objects.count() == 1
    assert first.json()["sender"] == "alice" and "payload" not in first.json()
    world.settle()
    assert world.result(run) == [{"ok": True}]
    assert callers.problem(alice.post(where, {})) == (409, "already-ended")


def test_a_signal_with_a_name_that_is_kept_for_answers_is_refused(
    world: World, alice: callers.Caller
) -> None:
    run = world.start("asking")
    world.settle()
    refused = alice.post(f"runs/{run.id}/signals/answer:0", {"payload": {"count": 1}})
    assert callers.problem(refused) == (422, "invalid-input")
    assert list(callers.faults(refused)) == ["/name"]
    assert not Signal.objects.exists()


def test_a_question_is_listed_answered_at_its_faults_and_then_gone(
    world: World, alice: callers.Caller
) -> None:
    run = world.start("asking")
    world.settle()
    (asked,) = alice.get("questions").json()["items"]
    assert alice.get(f"runs/{run.id}/questions").json()["items"] == [asked]
    assert (asked["question"], asked["position"]) == ("How many, and what?", 0)
    where = f"runs/{run.id}/questions/0/answer"
    bob = callers.with_token(world.bob)
    wrong = bob.post(where, {"values": {"count": 0}})
    assert callers.problem(wrong) == (422, "invalid-input")
    assert list(callers.faults(wrong)) == ["/values/count"]
    assert bob.post(where, {"values": {"count": 2}}).status_code == 201
    assert alice.get("questions").json()["items"] == []
    late = alice.post(where, {"values": {"count": 3}})
    assert late.status_code == 409
    assert late.json()["detail"] == "bob has answered this question already."
    world.settle()
    assert world.result(run) == [2, None]
    assert AuditEntry.objects.get(action="question_answered").actor == "bob"


def test_a_run_shows_its_waits_its_children_and_its_parent(
    world: World, alice: callers.Caller
) -> None:
    children = [
        {"workflow": "adding", "input": {"numbers": [1]}},
        {"workflow": "sleeping", "input": {"seconds": 1000.0}},
    ]
    parent = world.start("parenting", children=children)
    world.settle()
    shown = alice.get(f"runs/{parent.id}").json()
    assert shown["child_counts"] == {"succeeded": 1, "waiting": 1}
    assert [child["position"] for child in shown["children"]] == [0, 1]
    assert {wait["kind"] for wait in shown["waits"]} == {"child"}
    listed = alice.get("runs", parent=str(parent.id)).json()["items"]
    assert {run["id"] for run in listed} == {child["id"] for child in shown["children"]}
    assert {run["parent_id"] for run in listed} == {str(parent.id)}


def test_bulk_acts_on_exactly_what_was_counted(world: World, alice: callers.Caller) -> None:
    for _ in range(3):
        world.start("sleeping", seconds=1000.0)
    world.settle()
    found = alice.get("bulk", workflow="sleeping").json()
    assert found["count"] == 3
    body = {
        "filter": {"workflow": "sleeping"},
        "fingerprint": found["fingerprint"],
        "action": "pause",
        **WHY,
    }
    world.start("sleeping", seconds=1000.0)
    stale = alice.post("bulk", body)
    assert callers.problem(stale) == (409, "bulk-refused")
    assert "4 by now" in stale.json()["detail"]
    assert not Run.objects.filter(status="paused").exists()
    assert not AuditEntry.objects.filter(action="bulk_steered").exists()

    body["fingerprint"] = alice.get("bulk", workflow="sleeping").json()["fingerprint"]
    done = alice.post("bulk", body, Idempotency_Key="b")
    again = alice.post("bulk", body, Idempotency_Key="b")
    assert len(done.json()["done"]) == 4 and done.json()["refused"] == []
    assert (again.content, again.headers["Idempotent-Replayed"]) == (done.content, "true")
    assert Run.objects.filter(status="paused").count() == 4
    assert AuditEntry.objects.get(action="bulk_steered").detail["count"] == 4


def test_bulk_without_a_filter_is_refused(alice: callers.Caller) -> None:
    assert callers.problem(alice.get("bulk")) == (409, "bulk-refused")
    assert callers.problem(alice.get("bulk", colour="red")) == (422, "invalid-request")


def test_runs_are_filtered_by_when_they_started(world: World, alice: callers.Caller) -> None:
    run = world.start("adding", numbers=[1])
    assert len(alice.get("runs", since=run.created_at.isoformat()).json()["items"]) == 1
    assert alice.get("runs", since="2100-01-01T00:00:00Z").json()["items"] == []
    assert callers.problem(alice.get("runs", since="yesterday")) == (422, "invalid-request")


def test_what_others_have_is_not_there_to_be_steered(sleeper: Run, olivia: callers.Caller) -> None:
    for path, body in (
        ("pause", WHY), ("resume", {}), ("terminate", WHY), ("cancel", {}), ("fork", {"at": 0}),
        ("signals/go", {}), ("questions/0/answer", {"values": 1}),
    ):  # fmt: skip
        answer = olivia.post(f"runs/{sleeper.id}/{path}", body)
        assert callers.problem(answer) == (404, "not-found"), path
    assert olivia.get("bulk", workflow="sleeping").json()["count"] == 0
