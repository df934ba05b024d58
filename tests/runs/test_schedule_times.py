"""Which times a schedule names: pure, and with a table of the days on which clocks are changed."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs import limits
from runs.errors import ScheduleRefused
from runs.schedules import times
from runs.schedules.times import Rhythm

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def cron(expression: str, time_zone: str = "UTC") -> Rhythm:
    return Rhythm(cron=expression, time_zone=time_zone, interval_seconds=None, begins_at=BEGIN)


def every(seconds: int, begins_at: datetime = BEGIN) -> Rhythm:
    return Rhythm(cron="", time_zone="UTC", interval_seconds=seconds, begins_at=begins_at)


def told(rhythm: Rhythm, after: str, count: int) -> list[str]:
    """The next ticks as the clock on the wall shows them, with what it is ahead of UTC."""
    moment = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(rhythm.time_zone))
    found = islice(rhythm.after(moment), count)
    zone = ZoneInfo(rhythm.time_zone)
    return [at.astimezone(zone).strftime("%m-%d %H:%M%z") for at in found]


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        ("0 9 * * *", "UTC", "2026-01-01 08:59", ["01-01 09:00+0000", "01-02 09:00+0000"]),
        ("0 9 * * *", "UTC", "2026-01-01 09:00", ["01-02 09:00+0000", "01-03 09:00+0000"]),
        ("*/20 * * * *", "UTC", "2026-01-01 00:10", ["01-01 00:20+0000", "01-01 00:40+0000"]),
        ("0 9 * * mon-fri", "UTC", "2026-01-02 10:00", ["01-05 09:00+0000", "01-06 09:00+0000"]),
        ("0 9 * * 7", "UTC", "2026-01-01 00:00", ["01-04 09:00+0000", "01-11 09:00+0000"]),
        ("0 0 L * *", "UTC", "2026-01-01 00:00", ["01-31 00:00+0000", "02-28 00:00+0000"]),
        ("0 0 * * 5L", "UTC", "2026-01-01 00:00", ["01-30 00:00+0000", "02-27 00:00+0000"]),
        ("0 0 * * 1#2", "UTC", "2026-01-01 00:00", ["01-12 00:00+0000", "02-09 00:00+0000"]),
        # Day of month or day of week, where both are given.
        ("0 0 13 * 5", "UTC", "2026-01-08 00:00", ["01-09 00:00+0000", "01-13 00:00+0000"]),
        ("0 0 29 2 *", "UTC", "2026-01-01 00:00", ["02-29 00:00+0000", "02-29 00:00+0000"]),
        # The same moment in another zone, and over the line of the date.
        ("0 9 * * *", "Asia/Kolkata", "2026-01-01 00:00", ["01-01 09:00+0530", "01-02 09:00+0530"]),
        ("0 0 1 1 *", "Pacific/Kiritimati", "2026-06-01 00:00", ["01-01 00:00+1400"] * 2),
        # Berlin, 29 March 2026: 02:00 to 03:00 does not exist.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28 00:00",
            ["03-28 02:30+0100", "03-29 03:00+0200", "03-30 02:30+0200"],
        ),
        (
            "0,30 2 * * *",
            "Europe/Berlin",
            "2026-03-29 00:00",
            ["03-29 03:00+0200", "03-30 02:00+0200", "03-30 02:30+0200"],
        ),
        (
            "0 2,3 * * *",
            "Europe/Berlin",
            "2026-03-29 00:00",
            ["03-29 03:00+0200", "03-30 02:00+0200"],
        ),
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-03-29 01:00",
            ["03-29 01:30+0100", "03-29 03:30+0200", "03-29 04:30+0200"],
        ),
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-03-29 01:15",
            ["03-29 01:30+0100", "03-29 03:00+0200", "03-29 03:30+0200"],
        ),
        # Berlin, 25 October 2026: 02:00 to 03:00 comes twice.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24 12:00",
            ["10-25 02:30+0200", "10-26 02:30+0100", "10-27 02:30+0100"],
        ),
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-10-25 01:00",
            ["10-25 01:30+0200", "10-25 02:30+0200", "10-25 02:30+0100", "10-25 03:30+0100"],
        ),
        # New York, 8 March and 1 November 2026.
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-07 12:00",
            ["03-08 03:00-0400", "03-09 02:30-0400"],
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-10-31 12:00",
            ["11-01 01:30-0400", "11-02 01:30-0500"],
        ),
        # Half an hour, on Lord Howe: 4 October 2026 forward, 5 April back.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03 12:00",
            ["10-04 02:30+1100", "10-05 02:15+1100"],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04 12:00",
            ["04-05 01:45+1100", "04-06 01:45+1030"],
        ),
        # Where midnight itself does not exist: Cairo, 24 April 2026.
        (
            "0 0 * * *",
            "Africa/Cairo",
            "2026-04-23 12:00",
            ["04-24 01:00+0300", "04-25 00:00+0300"],
        ),
    ],
)
def test_a_cron_expression_names_these_times(
    expression: str, zone: str, after: str, expected: list[str]
) -> None:
    assert told(cron(expression, zone), after, len(expected)) == expected


@pytest.mark.parametrize("hour", ["1", "2", "3"])
@pytest.mark.parametrize("minute", ["0", "15", "0,30"])
def test_whoever_asks_in_the_hour_that_comes_twice_is_told_no_time_that_is_over(
    hour: str, minute: str
) -> None:
    rhythm = cron(f"{minute} {hour} * * *", "Europe/Berlin")
    begin = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    all_of_them = list(islice(rhythm.after(begin), 6))
    for minutes in range(0, 240, 5):
        moment = begin + timedelta(minutes=minutes)
        assert rhythm.next(moment) == next(at for at in all_of_them if at > moment)


MOMENTS = st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001
    max_value=datetime(2040, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"]
)
CRONS = st.sampled_from(
    ["* * * * *", "*/7 * * * *", "30 2 * * *", "0,59 0-3 * * *", "0 */2 * * *", "5 1 L * *"]
)


@given(moment=MOMENTS, zone=ZONES, expression=CRONS)
def test_ticks_rise_and_are_the_same_from_wherever_they_are_asked(
    moment: datetime, zone: str, expression: str
) -> None:
    rhythm = cron(expression, zone)
    ticks = list(islice(rhythm.after(moment), 8))
    assert moment < ticks[0]
    assert all(one < other for one, other in pairwise(ticks))
    for one, other in pairwise(ticks):
        assert rhythm.next(one) == other
        assert list(rhythm.between(one, other)) == [one, other]


@given(st.text(alphabet="0123456789*/,-L#W MONJAN", max_size=30))
def test_an_expression_is_understood_or_refused_in_a_sentence(expression: str) -> None:
    try:
        times.check(cron(expression))
    except ScheduleRefused as refused:
        assert refused.message.endswith(".")
    else:
        assert cron(expression).next(BEGIN) is not None


def test_an_interval_is_counted_from_its_beginning() -> None:
    rhythm = every(90)
    assert rhythm.next(BEGIN) == BEGIN + timedelta(seconds=90)
    assert rhythm.next(BEGIN + timedelta(seconds=89)) == BEGIN + timedelta(seconds=90)
    assert rhythm.next(BEGIN + timedelta(seconds=90)) == BEGIN + timedelta(seconds=180)
    assert rhythm.next(BEGIN - timedelta(seconds=100)) == BEGIN - timedelta(seconds=90)
    # Also over a change of clocks it is always the same span.
    days = list(islice(every(86_400, datetime(2026, 3, 28, 8, tzinfo=UTC)).after(BEGIN), 400))
    assert {other - one for one, other in pairwise(days)} == {timedelta(days=1)}


def test_jitter_is_the_same_for_the_same_tick_and_stays_within_its_bound() -> None:
    schedule = uuid.UUID("01890000-0000-7000-8000-000000000000")
    ticks = [BEGIN + timedelta(minutes=n) for n in range(500)]
    drawn = [times.starts_at(schedule, at, 60) - at for at in ticks]
    assert drawn == [times.starts_at(schedule, at, 60) - at for at in ticks]
    assert timedelta() <= min(drawn) < timedelta(seconds=2)
    assert timedelta(seconds=58) < max(drawn) < timedelta(seconds=60)
    assert len(set(drawn)) == 500
    berlin = BEGIN.astimezone(ZoneInfo("Europe/Berlin"))
    assert times.starts_at(schedule, berlin, 60) == times.starts_at(schedule, BEGIN, 60)
    assert times.starts_at(uuid.uuid4(), BEGIN, 60) != times.starts_at(schedule, BEGIN, 60)
    assert times.starts_at(schedule, BEGIN, 0) == BEGIN


@pytest.mark.parametrize(
    ("rhythm", "because"),
    [
        (cron("* * * *"), "has 4 fields; it needs five"),
        (cron("0 * * * * *"), "has 6 fields; it needs five"),
        (cron("@daily"), "has 1 fields"),
        (cron("60 * * * *"), "is not understood: bad minute"),
        (cron("0 0 31 2 *"), "is not understood: bad day-of-month"),
        (cron("0 0 31 2,4,6 */2"), "is not understood: bad day-of-month"),
        (cron("* * * * " + "1," * 200 + "1"), "at most 255 characters"),
        (cron("* * * * *", "Europe/Nowhere"), "There is no time zone 'Europe/Nowhere'"),
        (cron("* * * * *", "localtime"), "There is no time zone 'localtime'"),
        (cron("* * * * *", "../UTC"), "There is no time zone '../UTC'"),
        (cron("* * * * *", ""), "There is no time zone ''"),
        (cron(""), "one of the two"),
        (every(limits.MIN_INTERVAL_SECONDS - 1), "from 1 to"),
        (every(limits.MAX_INTERVAL_SECONDS + 1), "from 1 to"),
    ],
)
def test_what_names_no_times_is_refused(rhythm: Rhythm, because: str) -> None:
    with pytest.raises(ScheduleRefused) as refused:
        times.check(rhythm)
    assert because in refused.value.message


@pytest.mark.parametrize("seconds", [limits.MIN_INTERVAL_SECONDS, limits.MAX_INTERVAL_SECONDS])
def test_the_shortest_and_the_longest_interval_are_taken(seconds: int) -> None:
    times.check(every(seconds))
