"""Schedules on pages: made with a preview, steered with a look at what happens."""

from __future__ import annotations

import pytest

from console.models import AuditEntry
from runs.models import Run, Schedule, Tick
from tests.harness import World
from tests.pages import visitors
from tests.pages.test_markup import check
from tests.pages.visitors import Page, Visitor

FORM = {
    "name": "Mornings",
    "cron": "0 9 * * 1-5",
    "time_zone": "Europe/Paris",
    "interval_seconds": "",
    "overlap": "skip",
    "catch_up_seconds": "60",
    "jitter_seconds": "0",
    "input.numbers": "[1, 2]",
}
NEW = "/schedules/new/?workflow=adding"


@pytest.fixture
def schedule(world: World) -> Schedule:
    return visitors.make_schedule(world)


def filled(alice: Visitor, **changed: str) -> dict[str, str]:
    form_id = Page(alice.get(NEW)).field("form_id").attributes["value"]
    return FORM | {"form_id": form_id} | changed


def test_the_next_times_are_shown_before_anything_is_saved(world: World, alice: Visitor) -> None:
    check(alice.get("/schedules/new/"))
    shown = alice.post(NEW, **filled(alice), step="preview")
    check(shown)
    text = Page(shown).text
    assert "The next times would be" in text and text.count("09:00 Europe/Paris") == 5
    assert not Schedule.objects.exists()

    made = alice.post(NEW, **filled(alice))
    found = Schedule.objects.get()
    assert made.headers["Location"] == f"/schedules/{found.id}/"
    assert (found.owner, found.cron, found.time_zone) == (
        world.alice,
        "0 9 * * 1-5",
        "Europe/Paris",
    )
    check(alice.get(f"/schedules/{found.id}/"))
    assert "Mornings" in Page(alice.get("/schedules/")).text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cron": "0 9 * *"}, "it needs five"),
        ({"cron": ""}, "A schedule has a cron expression or an interval"),
        ({"interval_seconds": "60"}, "A schedule has a cron expression or an interval"),
        ({"name": ""}, "This field is required."),
        ({"input.numbers": "7"}, "7 is not of type 'array'."),
        ({"catch_up_seconds": "1"}, "greater than or equal to 10"),
    ],
)
def test_what_is_no_schedule_is_said_at_its_field(
    world: World, alice: Visitor, changed: dict[str, str], said: str
) -> None:
    refused = alice.post(NEW, **filled(alice, **changed))
    check(refused)
    assert refused.status_code == 422
    assert said in Page(refused).text
    assert not Schedule.objects.exists()


def test_a_change_keeps_the_rest(alice: Visitor, schedule: Schedule) -> None:
    where = f"/schedules/{schedule.id}/edit/"
    page = Page(alice.get(where))
    assert page.field("cron").attributes["value"] == "0 9 * * *"
    form = filled(alice, name="Every hour", cron="", interval_seconds="3600")
    assert alice.post(where, **form).status_code == 302
    changed = Schedule.objects.get()
    assert (changed.name, changed.cron, changed.interval_seconds) == ("Every hour", "", 3600)
    assert "every 1 h" in Page(alice.get("/schedules/")).text


def test_it_is_paused_with_a_reason_resumed_and_deleted(alice: Visitor, schedule: Schedule) -> None:
    where = f"/schedules/{schedule.id}"
    assert alice.post(f"{where}/pause/", confirmed="yes").status_code == 422
    assert alice.post(f"{where}/pause/", confirmed="yes", reason="Audit.").status_code == 302
    shown = alice.get(f"{where}/")
    check(shown)
    assert "Audit." in Page(shown).text
    assert "Paused" in Page(alice.get("/schedules/")).text
    alice.post(f"{where}/resume/", confirmed="yes")
    assert Schedule.objects.get().paused_at is None
    check(alice.post(f"{where}/delete/"))
    assert Schedule.objects.get().ended_at is None
    alice.post(f"{where}/delete/", confirmed="yes")
    assert "It was deleted" in Page(alice.get(f"{where}/")).text
    assert "No schedules yet" in Page(alice.get("/schedules/")).text
    assert {e.action for e in AuditEntry.objects.all()} >= {
        "schedule_paused", "schedule_resumed", "schedule_deleted",
    }  # fmt: skip


def test_a_run_starts_now_for_who_asks_and_only_one_at_a_time(
    world: World, alice: Visitor, schedule: Schedule
) -> None:
    where = f"/schedules/{schedule.id}/trigger/"
    check(alice.get(where))
    answer = alice.post(where, confirmed="yes")
    run = Run.objects.get()
    assert answer.headers["Location"] == f"/runs/{run.id}/"
    assert "Every morning" in Page(alice.get(f"/runs/{run.id}/")).text
    again = alice.post(where, confirmed="yes")
    check(again)
    assert again.status_code == 422 and "still goes on" in Page(again).text
    world.settle()
    text = Page(alice.get(f"/schedules/{schedule.id}/")).text
    assert "Started" in text and "alice asked for it." in text
    assert "Runs of one schedule" in Page(alice.get("/runs/", schedule=str(schedule.id))).text


def test_a_backfill_is_counted_in_the_zone_of_the_schedule_and_then_queued(
    alice: Visitor, schedule: Schedule
) -> None:
    where = f"/schedules/{schedule.id}/backfill/"
    check(alice.get(where))
    days = {"since": "2026-01-05T09:00", "until": "2026-01-07T09:00"}
    counted = alice.post(where, **days)
    check(counted)
    assert "3 times without a run." in Page(counted).text
    assert not Tick.objects.exists()
    assert alice.post(where, **days, count="2", step="confirmed").status_code == 422
    assert alice.post(where, **days, count="3", step="confirmed").status_code == 302
    assert Tick.objects.filter(outcome="queued", is_backfill=True).count() == 3
    wrong = alice.post(where, since="2026-01-07T09:00", until="2026-01-05T09:00")
    check(wrong)
    assert wrong.status_code == 422


def test_what_is_no_verb_is_not_there(alice: Visitor, schedule: Schedule) -> None:
    assert alice.get(f"/schedules/{schedule.id}/explode/").status_code == 404
