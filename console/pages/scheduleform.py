"""The forms of a schedule: when it starts runs, and of what."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from django import forms
from django.utils import timezone

from console.pages.startform import StartForm, read_input
from console.pages.words import OVERLAPS, span
from runs import limits
from runs.errors import ScheduleRefused
from runs.models import Schedule
from runs.schedules import times
from runs.schedules.times import Rhythm

OWN = ("name", "cron", "interval_seconds", "time_zone", "overlap", "catch_up_seconds",
       "jitter_seconds")  # fmt: skip


def rhythm_words(schedule: Schedule) -> str:
    """When a schedule starts runs, in few words."""
    if schedule.interval_seconds is not None:
        seconds = schedule.interval_seconds
        if seconds < 120 and seconds != 60:
            return "every second" if seconds == 1 else f"every {seconds} seconds"
        return f"every {span(timedelta(seconds=seconds))}"
    return f"{schedule.cron} ({schedule.time_zone})"


class ScheduleForm(StartForm):
    """When runs start, what becomes of those that overlap, and the input of the workflow."""

    name = forms.CharField(label="Name", max_length=limits.MAX_SCHEDULE_NAME)
    cron = forms.CharField(
        label="Times",
        required=False,
        max_length=limits.MAX_CRON_CHARACTERS,
        help_text="Five fields: minute, hour, day of month, month, day of week. "
        "“0 9 * * 1-5” is 9:00 on working days.",
    )
    time_zone = forms.ChoiceField(label="Time zone", required=False)
    interval_seconds = forms.IntegerField(
        label="Or every so many seconds",
        required=False,
        min_value=limits.MIN_INTERVAL_SECONDS,
        max_value=limits.MAX_INTERVAL_SECONDS,
    )
    overlap = forms.ChoiceField(
        label="While a run of it goes on",
        choices=[(key, f"{key.capitalize()}: {text}") for key, text in OVERLAPS.items()],
    )
    catch_up_seconds = forms.IntegerField(
        label="Catch up within (seconds)",
        min_value=limits.MIN_CATCH_UP_SECONDS,
        max_value=limits.MAX_CATCH_UP_SECONDS,
        help_text="A time that passed while nothing was running still starts its run, if no later.",
    )
    jitter_seconds = forms.IntegerField(
        label="Spread over (seconds)",
        min_value=0,
        max_value=limits.MAX_JITTER_SECONDS,
        help_text="Each run starts up to this much after its time, so that not all begin at once.",
    )

    def __init__(
        self, schema: dict[str, Any], data: Any = None, *, schedule: Schedule | None = None
    ) -> None:
        super().__init__(schema, data)
        self.schedule = schedule
        now: dict[str, Any] = {
            "time_zone": "UTC",
            "overlap": "skip",
            "catch_up_seconds": 60,
            "jitter_seconds": 0,
        }
        if schedule is not None:
            now = {name: getattr(schedule, name) for name in OWN}
        self.initial = {**self.initial, **now}
        zones = sorted(zoneinfo.available_timezones() - {"localtime", "posixrules", "Factory"})
        self.fields["time_zone"].choices = [(zone, zone) for zone in zones]  # type: ignore[attr-defined]
        for field in self.fields.values():
            field.widget.attrs.setdefault("class", "input")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        cleaned["time_zone"] = cleaned.get("time_zone") or "UTC"
        if not self.errors:
            try:
                times.check(self._rhythm(cleaned))
            except ScheduleRefused as refusal:
                self.add_error(self.field_of(refusal.message), refusal.message)
        return cleaned

    def given(self) -> dict[str, Any]:
        """What is asked of the engine; either times or an interval."""
        own = {name: self.cleaned_data[name] for name in OWN}
        if own["interval_seconds"] is None:
            own.pop("interval_seconds")
        else:
            own.pop("cron")
        return own | {"input": read_input(self)}

    def next_times(self, count: int) -> list[datetime]:
        return list(islice(self._rhythm(self.cleaned_data).after(timezone.now()), count))

    def field_of(self, sentence: str) -> str | None:
        """The field that a refusal is about, where it can be told."""
        return next((name for word, name in PLACES if word in sentence), None)

    def own_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("name", "cron", "time_zone", "interval_seconds")]

    def manner_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("overlap", "catch_up_seconds", "jitter_seconds")]

    def input_fields(self) -> list[forms.BoundField]:
        return [field for field in self.visible_fields() if field.name.startswith("input.")]

    def _rhythm(self, cleaned: dict[str, Any]) -> Rhythm:
        return Rhythm(
            cron=" ".join((cleaned.get("cron") or "").split()),
            time_zone=cleaned["time_zone"],
            interval_seconds=cleaned.get("interval_seconds"),
            begins_at=timezone.now(),
        )


PLACES = (
    ("cron expression", "cron"),
    ("time zone", "time_zone"),
    ("interval", "interval_seconds"),
    ("called", "name"),
    ("name of a schedule", "name"),
)


class BackfillForm(forms.Form):
    """A span of time, in the zone of the schedule, and how many times were counted in it."""

    since = forms.DateTimeField(label="From")
    until = forms.DateTimeField(label="Until")
    count = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, schedule: Schedule, data: Any = None) -> None:
        super().__init__(data)
        self.zone = times.zone(schedule.time_zone)
        for name in ("since", "until"):
            self.fields[name].widget = forms.DateTimeInput(
                attrs={"type": "datetime-local", "class": "input"}, format="%Y-%m-%dT%H:%M"
            )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name in ("since", "until"):
            if name in cleaned:
                # Django has read it in its own zone, which is UTC; meant was the schedule's.
                said = cleaned[name].replace(tzinfo=self.zone)
                cleaned[name] = said.astimezone(UTC)
        return cleaned
