"""Which times a schedule names: pure functions of its fields, with no clock of their own.

Cron is Debian's, as `cronsim` reads it: five fields, in a time zone of the IANA database. A job
at fixed hours whose time does not exist on the day the clocks go forward is due at the first
moment that does; one whose time comes twice is due the first time. A job of every hour or
minute follows the clock on the wall through both hours.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from cronsim import CronSim, CronSimError

from runs import limits
from runs.errors import ScheduleRefused

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """When a schedule's ticks are: a cron expression in a time zone, or an interval."""

    cron: str
    time_zone: str
    interval_seconds: int | None
    begins_at: datetime

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The ticks after a moment, in UTC and rising; those of a cron expression may end."""
        if self.interval_seconds is not None:
            return self._of_interval(moment, timedelta(seconds=self.interval_seconds))
        return self._of_cron(moment)

    def next(self, moment: datetime) -> datetime | None:
        """The first tick after a moment; None when none comes any more."""
        return next(self.after(moment), None)

    def between(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """The ticks from `since` to `until`, both included, also from before the beginning."""
        return itertools.takewhile(lambda at: at <= until, self.after(since - MICROSECOND))

    def _of_interval(self, moment: datetime, span: timedelta) -> Iterator[datetime]:
        begins_at = self.begins_at.astimezone(UTC)
        passed = (moment.astimezone(UTC) - begins_at) // span
        return (begins_at + span * count for count in itertools.count(passed + 1))

    def _of_cron(self, moment: datetime) -> Iterator[datetime]:
        last = moment.astimezone(UTC)
        # A time that comes twice, or not at all, can make two ticks one, or one be before.
        for tick in CronSim(self.cron, moment.astimezone(zone(self.time_zone))):
            at = tick.astimezone(UTC)
            if at > last:
                last = at
                yield at


def check(rhythm: Rhythm) -> None:
    """Raises `ScheduleRefused` when it names no times, or not in a way that is understood."""
    if bool(rhythm.cron) == (rhythm.interval_seconds is not None):
        raise ScheduleRefused("A schedule has a cron expression or an interval: one of the two.")
    zone(rhythm.time_zone)
    if rhythm.interval_seconds is not None:
        _check_interval(rhythm.interval_seconds)
    else:
        _check_cron(rhythm)


def zone(name: str) -> zoneinfo.ZoneInfo:
    """The time zone of that name; raises `ScheduleRefused`."""
    if name not in _zones():
        raise ScheduleRefused(
            f"There is no time zone {name[:64]!r}; write it as the IANA database does,"
            " for example Europe/Berlin."
        )
    return zoneinfo.ZoneInfo(name)


def starts_at(schedule: UUID, tick: datetime, jitter_seconds: int) -> datetime:
    """When the run of a tick starts: up to so many seconds late, always the same for that tick."""
    if not jitter_seconds:
        return tick
    named = f"placet/jitter/v1\0{schedule}\0{tick.astimezone(UTC).isoformat()}".encode()
    drawn = int.from_bytes(hashlib.sha256(named).digest()[:8], "big")
    return tick + timedelta(microseconds=drawn * jitter_seconds * 1_000_000 // 2**64)


def _check_interval(seconds: int) -> None:
    if not limits.MIN_INTERVAL_SECONDS <= seconds <= limits.MAX_INTERVAL_SECONDS:
        raise ScheduleRefused(
            f"An interval is from {limits.MIN_INTERVAL_SECONDS} to"
            f" {limits.MAX_INTERVAL_SECONDS} seconds; this one is {seconds}."
        )


def _check_cron(rhythm: Rhythm) -> None:
    if len(rhythm.cron) > limits.MAX_CRON_CHARACTERS:
        raise ScheduleRefused(
            f"A cron expression has at most {limits.MAX_CRON_CHARACTERS} characters."
        )
    if len(rhythm.cron.split()) != 5:
        raise ScheduleRefused(
            f"The cron expression {rhythm.cron!r} has {len(rhythm.cron.split())} fields; it needs"
            " five: minute, hour, day of month, month, day of week."
        )
    try:
        first = rhythm.next(rhythm.begins_at)
    except CronSimError as error:
        raise ScheduleRefused(
            f"The cron expression {rhythm.cron!r} is not understood: {str(error).lower()}."
        ) from error
    if first is None:
        raise ScheduleRefused(f"The cron expression {rhythm.cron!r} names a day that never comes.")


@functools.cache
def _zones() -> frozenset[str]:
    """All but the names that say "as this machine is set"."""
    return frozenset(zoneinfo.available_timezones() - {"localtime", "posixrules", "Factory"})
