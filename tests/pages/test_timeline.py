"""Where a step's bars stand. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from console.pages.timeline import draw
from console.pages.words import money, span

BEGIN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


@dataclass
class Step:
    position: int
    status: str = "succeeded"
    kind: str = "tool"
    created_at: datetime = BEGIN
    started_at: datetime | None = BEGIN
    finished_at: datetime | None = None


@dataclass
class Event:
    kind: str
    at: datetime
    position: int | None = 0


def test_bars_of_even_work_stand_on_an_even_scale() -> None:
    steps = [
        Step(0, finished_at=at(1)),
        Step(1, created_at=at(1), started_at=at(1), finished_at=at(4)),
    ]

    flow = draw(steps, [], at(9))

    assert not flow.is_shortened
    assert [(b.x, b.width) for b in flow.bars[0] + flow.bars[1]] == [(0.0, 25.0), (25.0, 75.0)]
    assert flow.took == {0: "1.0 s", 1: "3.0 s"}


def test_a_money_step_is_held_then_queued_then_worked() -> None:
    events = [
        Event("step.held", at(0)),
        Event("gate.opened", at(1)),
        Event("step.cleared", at(100)),
        Event("step.started", at(101)),
        Event("step.succeeded", at(103)),
    ]

    bars = draw([Step(0, finished_at=at(103))], events, at(200)).bars[0]

    assert [bar.what for bar in bars] == ["held", "queued", "good"]
    assert [bar.title for bar in bars] == ["Held for 2 min", "Queued for 1.0 s", "Ran for 2.0 s"]


def test_a_retry_waits_between_its_attempts_and_only_the_last_is_judged() -> None:
    events = [
        Event("step.ready", at(0)),
        Event("step.started", at(1)),
        Event("step.attempt_failed", at(2)),
        Event("step.started", at(6)),
        Event("step.failed", at(7)),
    ]

    bars = draw([Step(0, status="failed", finished_at=at(7))], events, at(9)).bars[0]

    assert [bar.what for bar in bars] == ["queued", "running", "waiting", "bad"]


def test_what_has_not_ended_reaches_until_now() -> None:
    events = [Event("step.held", at(0))]
    step = Step(0, status="held", started_at=None)

    assert draw([step], events, at(60)).took == {0: "1 min"}


def test_long_waits_are_shortened_and_order_is_kept() -> None:
    steps = [Step(0, finished_at=at(0.2)), Step(1, status="held", started_at=None)]
    events = [Event("step.held", at(0.2), position=1)]

    flow = draw(steps, events, at(36_000))

    assert flow.is_shortened
    worked, held = flow.bars[0][0], flow.bars[1][0]
    assert worked.width > 3
    assert held.x == pytest.approx(worked.width)
    assert held.x + held.width == pytest.approx(100)


def test_no_steps_and_no_time_are_drawn_without_fault() -> None:
    assert draw([], [], BEGIN).bars == {}
    assert draw([Step(0, finished_at=BEGIN)], [], BEGIN).took == {0: "under 1 ms"}


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        (9870, "EUR", "€98.70"),
        (1, "EUR", "€0.01"),
        (123456789, "GBP", "£1,234,567.89"),
        (500, "JPY", "¥500"),
        (1234, "KWD", "KWD\u00a01.234"),
        (-5, "USD", "−US$0.05"),
    ],
)
def test_amounts_are_written_with_the_digits_of_their_currency(
    amount: int, currency: str, said: str
) -> None:
    assert money(amount, currency) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "under 1 ms"),
        (0.24, "240 ms"),
        (3.2, "3.2 s"),
        (59.94, "59.9 s"),
        (60, "1 min"),
        (3600, "1 h"),
        (7_800, "2 h 10 min"),
        (86_400, "1 day"),
        (180_000, "2 days 2 h"),
        (-1, "under 1 ms"),
    ],
)
def test_spans_are_said_in_at_most_two_units(seconds: float, said: str) -> None:
    assert span(timedelta(seconds=seconds)) == said
