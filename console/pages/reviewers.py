"""How people decide, in figures: by reviewer and by rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from approvals.habits import PERIODS, Habit
from approvals.limits import FAST_SECONDS
from console.lookingback import find_habits
from console.pages.guard import page, person_of
from console.pages.safeguarding import tabs_of
from console.pages.words import span
from console.roles import may


@dataclass(frozen=True, kw_only=True)
class Row:
    """A habit with its times in words."""

    habit: Habit
    median: str
    p90: str


@page("figures.view")
def reviewers(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    asked = request.GET.get("days", "")
    days = next((one for one in PERIODS if asked == str(one)), PERIODS[0])
    habits = find_habits(person, days=days)
    rows = [Row(habit=h, median=_span(h.median_seconds), p90=_span(h.p90_seconds)) for h in habits]
    context = {
        "days": days,
        "periods": PERIODS,
        "fast_seconds": FAST_SECONDS,
        "is_own": not may(person, "audit.view"),
        "people": [one for one in rows if not one.habit.rule],
        "rules": [one for one in rows if not one.habit.person],
        "both": [one for one in rows if one.habit.person and one.habit.rule],
        **tabs_of(person, "reviewers"),
    }
    return render(request, "looks/reviewers.html", context)


def _span(seconds: float | None) -> str:
    return "not known" if seconds is None else span(timedelta(seconds=seconds))
