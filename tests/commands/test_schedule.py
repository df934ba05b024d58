"""manage.py schedule"""

from __future__ import annotations

import pytest

from runs.models import Run, Schedule, Tick
from tests.commands.terminal import run
from tests.harness import World

WHO = ("--user", "alice")
PLAN = ("Mornings", "--workflow", "adding", "--input", '{"numbers": [1]}', "--cron", "0 9 * * *")


@pytest.fixture
def schedule(world: World) -> Schedule:
    said = run("schedule", "create", *PLAN, "--time-zone", "Europe/Paris", *WHO)
    assert said.refusal == ""
    return Schedule.objects.get(pk=said.out.strip())


def test_a_schedule_is_made_listed_changed_and_deleted(schedule: Schedule) -> None:
    listed = run("schedule", "list", *WHO).out
    assert "Mornings" in listed and "0 9 * * * (Europe/Paris)" in listed and "alice" in listed
    assert run("schedule", "change", "Mornings", "--interval-seconds", "60", *WHO).refusal == ""
    changed = Schedule.objects.get()
    assert (changed.cron, changed.interval_seconds) == ("", 60)
    assert "nobody to ask" in run("schedule", "delete", "Mornings", *WHO).refusal
    assert run("schedule", "delete", "Mornings", *WHO, "--yes").refusal == ""
    assert run("schedule", "list", *WHO).out == "There are no schedules.\n"


def test_it_is_paused_resumed_and_started_now(world: World, schedule: Schedule) -> None:
    assert run("schedule", "pause", "Mornings", "--reason", "Audit.", *WHO).refusal == ""
    assert "paused" in run("schedule", "list", *WHO).out
    assert run("schedule", "resume", "Mornings", *WHO).out.startswith("The schedule goes on.")
    started = run("schedule", "trigger", "Mornings", *WHO)
    assert Run.objects.get(pk=started.out.strip()).schedule_id == schedule.id
    again = run("schedule", "trigger", "Mornings", *WHO)
    assert "still goes on" in again.refusal
    assert "started" in run("schedule", "ticks", "Mornings", *WHO).out


def test_a_backfill_needs_the_number_that_it_counts(schedule: Schedule) -> None:
    days = ("--since", "2026-01-05T00:00Z", "--until", "2026-01-07T23:00Z")
    assert run("schedule", "backfill", "Mornings", *days, *WHO, "--count", "9").refusal == (
        "They are 3, and not 9."
    )
    assert not Tick.objects.exists()
    said = run("schedule", "backfill", "Mornings", *days, *WHO, "--count", "3")
    assert said.out.endswith("3 runs are queued, the oldest first.\n")
    assert Tick.objects.filter(outcome="queued").count() == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("create", *PLAN, *WHO), "There is a schedule called 'Mornings' already."),
        (("create", "x", *PLAN[1:-1], "9", *WHO), "The cron expression '9' has 1 fields"),
        (("change", "Mornings", *WHO), "Say what is to be changed."),
        (("pause", "None", "--reason", "x", *WHO), "There is no schedule 'None'."),
        (("trigger", "Mornings", "--user", "bob"), "Your roles do not give the right"),
        (("trigger", "Mornings", "--user", "nemo"), "There is no active person named 'nemo'."),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    schedule: Schedule, arguments: tuple[str, ...], sentence: str
) -> None:
    said = run("schedule", *arguments)
    assert said.refusal.startswith(sentence), said.refusal
