"""The call that tells how people decide."""

from __future__ import annotations

from typing import Literal

from django.http import HttpResponse
from ninja import Query, Router
from pydantic import BaseModel, Field

from approvals.habits import Habit
from console.api.auth import ApiRequest, door
from console.api.idempotency import answer
from console.api.shapes import known_parameters
from console.lookingback import find_habits

router = Router()


class FigureFilter(BaseModel):
    days: Literal["30", "90"] = "30"


class HabitShown(BaseModel):
    """Of one reviewer (`rule` empty), of one rule (`person` empty), or of one by the other."""

    person: str
    rule: str
    decisions: int
    approvals: int
    median_seconds: float | None = Field(description="null: no request was looked at before")
    p90_seconds: float | None
    fast: int = Field(description="Decided within five seconds, or without a look")
    unseen: int = Field(description="Of those, without a look")
    right: int = Field(description="Approvals that a second look found right")
    wrong: int = Field(description="Approvals that a second look found wrong")
    approve_percent: int
    fast_percent: int
    overturned_percent: int | None = Field(description="null: none was looked at again")
    canaries: int = Field(description="Canaries decided about; in no other figure")
    caught: int = Field(description="Of those, how many were not approved")
    caught_percent: int | None = Field(description="null: there were none")
    alert: str = Field(description="What is alarming, in words; empty for most")

    @classmethod
    def of(cls, habit: Habit) -> HabitShown:
        return cls(**{name: getattr(habit, name) for name in cls.model_fields})


class HabitList(BaseModel):
    days: int
    items: list[HabitShown]


@router.get("/reviewers/figures", auth=door("figures.view"), response=HabitList)
def reviewer_figures(request: ApiRequest, query: Query[FigureFilter]) -> HttpResponse:
    """How people decide, by reviewer and by rule, over 30 or 90 days.

    All of the tenant for auditors and admins; for a reviewer their own.
    """
    known_parameters(request, FigureFilter)
    found = find_habits(request.auth.person, days=int(query.days))
    return answer(HabitList(days=int(query.days), items=[HabitShown.of(one) for one in found]))
