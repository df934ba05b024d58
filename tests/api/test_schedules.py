"""Schedules, as programs make and steer them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from console.models import AuditEntry
from runs import schedules
from runs.models import Run, Schedule, Tick
from tests.api import callers
from tests.harness import World, as_role

PLAN = {
    "name": "Mornings",
    "workflow": "adding",
    "input": {"numbers": [1, 2]},
    "cron": "0 9 * * 1-5",
    "time_zone": "Europe/Paris",
}
YESTERDAY = {"since": "2026-01-05T00:00:00Z", "until": "2026-01-09T23:00:00Z"}


@pytest.fixture
def plan(alice: callers.Caller) -> dict[str, Any]:
    answer = alice.post("schedules", PLAN)
    assert answer.status_code == 201, answer.content
    made: dict[str, Any] = answer.json()
    return made


def test_a_schedule_is_made_once_and_tells_its_next_times(alice: callers.Caller) -> None:
    first = alice.post("schedules", PLAN, Idempotency_Key="k")
    again = alice.post("schedules", PLAN, Idempotency_Key="k")
    assert first.content == again.content and Schedule.objects.count() == 1
    shown = first.json()
    assert (shown["owner"], shown["input"]) == ("alice", {"numbers": [1, 2]})
    assert len(shown["next_times"]) == 5 and shown["next_times"][0] == shown["next_at"]
    assert alice.get("schedules").json()["items"][0]["id"] == shown["id"]
    assert AuditEntry.objects.get(action="schedule_created").actor == "alice"
    taken = alice.post("schedules", PLAN)
    assert callers.problem(taken) == (409, "schedule-refused")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"cron": "0 9 * *"}, (409, "schedule-refused")),
        ({"cron": "", "interval_seconds": None}, (409, "schedule-refused")),
        ({"time_zone": "Mars/Olympus"}, (409, "schedule-refused")),
        ({"workflow": "none"}, (422, "unknown-workflow")),
        ({"input": {"numbers": "x"}}, (422, "invalid-input")),
        ({"overlap": "sometimes"}, (422, "invalid-request")),
        ({"colour": "red"}, (422, "invalid-request")),
    ],
)
def test_what_is_no_schedule_is_refused(
    alice: callers.Caller, changed: dict[str, Any], problem: tuple[int, str]
) -> None:
    assert callers.problem(alice.post("schedules", PLAN | changed)) == problem
    assert not Schedule.objects.exists()


def test_a_change_changes_what_is_given_and_the_owner(world: World, plan: dict[str, Any]) -> None:
    olga = callers.with_token(callers.make_person("olga", "operator", tenant=world.tenant))
    answer = olga.post(f"schedules/{plan['id']}", {"interval_seconds": 60}, method="PATCH")
    assert answer.status_code == 200, answer.content
    shown = answer.json()
    assert (shown["cron"], shown["interval_seconds"], shown["owner"]) == ("", 60, "olga")
    assert shown["name"] == "Mornings"
    assert AuditEntry.objects.get(action="schedule_changed").detail == {
        "fields": ["interval_seconds"]
    }


def test_it_is_paused_with_a_reason_and_goes_on(
    alice: callers.Caller, plan: dict[str, Any]
) -> None:
    where = f"schedules/{plan['id']}"
    assert callers.problem(alice.post(f"{where}/pause", {}))[1] == "invalid-request"
    paused = alice.post(f"{where}/pause", {"reason": "Audit."}).json()
    assert (paused["paused_because"], paused["next_at"]) == ("Audit.", None)
    resumed = alice.post(f"{where}/resume").json()
    assert resumed["paused_at"] is None and resumed["next_at"] == plan["next_at"]


def test_a_run_of_it_starts_now_for_who_asks_and_its_tick_is_told(
    world: World, alice: callers.Caller, plan: dict[str, Any]
) -> None:
    answer = alice.post(f"schedules/{plan['id']}/trigger", Idempotency_Key="k")
    assert answer.status_code == 201
    assert answer.json()["schedule_id"] == plan["id"]
    refused = alice.post(f"schedules/{plan['id']}/trigger")
    assert callers.problem(refused) == (409, "schedule-refused")
    (tick,) = alice.get(f"schedules/{plan['id']}/ticks").json()["items"]
    assert (tick["outcome"], tick["run_id"]) == ("started", answer.json()["id"])
    assert len(alice.get("runs", schedule=plan["id"]).json()["items"]) == 1


def test_a_backfill_is_counted_first(alice: callers.Caller, plan: dict[str, Any]) -> None:
    where = f"schedules/{plan['id']}/backfill"
    counted = alice.get(where, **YESTERDAY)
    assert counted.json() == {"count": 5}
    stale = alice.post(where, YESTERDAY | {"count": 4})
    assert callers.problem(stale) == (409, "schedule-refused")
    assert not Tick.objects.exists()
    assert alice.post(where, YESTERDAY | {"count": 5}).json() == {"count": 5}
    assert Tick.objects.filter(outcome="queued", is_backfill=True).count() == 5
    assert alice.get(where, **YESTERDAY).json() == {"count": 0}
    ahead = {"since": datetime.now(UTC).isoformat(), "until": "2100-01-01T00:00:00Z"}
    assert callers.problem(alice.get(where, **ahead)) == (409, "schedule-refused")


def test_a_deleted_one_is_kept_for_its_runs_and_nothing_else(
    alice: callers.Caller, plan: dict[str, Any]
) -> None:
    ended = alice.post(f"schedules/{plan['id']}", method="DELETE")
    assert ended.status_code == 200 and ended.json()["ended_at"] is not None
    assert alice.get("schedules").json()["items"] == []
    assert alice.get(f"schedules/{plan['id']}").json()["next_times"] == []
    late = alice.post(f"schedules/{plan['id']}/trigger")
    assert callers.problem(late) == (409, "schedule-refused")


def test_what_fires_is_listed_among_the_runs_with_its_time(
    world: World, alice: callers.Caller
) -> None:
    soon = PLAN | {"cron": "", "interval_seconds": 1, "time_zone": "UTC"}
    made = alice.post("schedules", soon).json()
    with as_role("placet_owner"):
        then = datetime.now(UTC) - timedelta(seconds=3)
        Schedule.objects.update(begins_at=then, next_at=then + timedelta(seconds=1))
    with as_role("placet_worker"):
        schedules.fire_due_schedules()
    run = Run.objects.get()
    (shown,) = alice.get("runs", schedule=made["id"]).json()["items"]
    assert (shown["id"], shown["schedule_id"]) == (str(run.id), made["id"])
    assert shown["scheduled_for"]


def test_what_others_have_is_not_there(olivia: callers.Caller, plan: dict[str, Any]) -> None:
    where = f"schedules/{plan['id']}"
    assert callers.problem(olivia.get(where)) == (404, "not-found")
    assert callers.problem(olivia.get(f"{where}/ticks")) == (404, "not-found")
    assert callers.problem(olivia.post(f"{where}/trigger")) == (404, "not-found")
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        answer = olivia.post(where, body, method=method)
        assert callers.problem(answer) == (404, "not-found")
    assert olivia.get("schedules").json()["items"] == []
