"""Who is interrupted where, and who acts at the same time: what tests of races and kills share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections

from runs import claims, points
from tests.harness import admin, as_role


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def at_point(point: str, do: Callable[[], Any]) -> Iterator[list[str]]:
    """Does something once, in a thread of its own, when the engine comes by this point."""
    met: list[str] = []

    def observe(reached: str) -> None:
        if reached == point and not met:
            met.append(reached)
            thread = threading.Thread(target=_alone(do))
            thread.start()
            thread.join(20)
            assert not thread.is_alive(), "the other process hangs"

    points.observer = observe
    try:
        yield met
    finally:
        points.observer = None


def _alone(do: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        try:
            do()
        finally:
            connections.close_all()

    return run


def killed_at(point: str, do: Callable[[], Any]) -> bool:
    """Does something, and ends its process at this point; whether it came by there."""
    reached: list[str] = []

    def observe(name: str) -> None:
        reached.append(name)
        if name == point:
            raise Killed

    return _until_killed(observe, do)


def killed_after(number: int, do: Callable[[], Any]) -> str:
    """Does something, and ends its process at the point with this number; the point's name, or
    nothing when there are not so many."""
    reached: list[str] = []

    def observe(name: str) -> None:
        reached.append(name)
        if len(reached) == number:
            raise Killed

    return reached[-1] if _until_killed(observe, do) else ""


def _until_killed(observe: Callable[[str], None], do: Callable[[], Any]) -> bool:
    points.observer = observe
    try:
        do()
    except Killed:
        return True
    finally:
        points.observer = None
        claims.keeper._held.clear()
    return False


def end_claims() -> None:
    """The time of all claims is over, as after the death of whoever held them."""
    with admin() as superuser:
        for table in ("runs_claim", "runs_stepclaim"):
            superuser.execute(f"UPDATE {table} SET expires_at = now() WHERE expires_at IS NOT NULL")


def together(*deeds: tuple[str, Callable[[], Any]]) -> list[Any]:
    """All of them at once, each under its role on a connection of its own; what they returned,
    or raised."""
    barrier = threading.Barrier(len(deeds))
    answers: list[Any] = [None] * len(deeds)

    def play(index: int, settings: dict[str, Any], do: Callable[[], Any]) -> None:
        connection.settings_dict = settings
        try:
            barrier.wait()
            answers[index] = do()
        except Exception as error:
            answers[index] = error
        finally:
            connections.close_all()

    threads = []
    for index, (role, do) in enumerate(deeds):
        with as_role(role):
            settings = dict(connection.settings_dict)
        threads.append(threading.Thread(target=play, args=(index, settings, do)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return answers


def wait_for_a_lock() -> None:
    """Until somebody waits for a lock, by the database's own account."""
    deadline = time.monotonic() + 10
    with admin() as superuser:
        while time.monotonic() < deadline:
            waiting = superuser.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            ).fetchone()
            if waiting and waiting[0]:
                return
            time.sleep(0.01)
    raise AssertionError("Nobody waits for a lock.")
