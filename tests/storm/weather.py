"""What goes wrong: processes killed and frozen, servers stopped and emptied, lines cut."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable

import psycopg
import redis

from tests.servers import Servers
from tests.storm.fleet import Fleet
from tests.zoo import world_dir

DROPS = ("register-drops", "fire-drops", "pay-drops", "launch-drops")
UNDER_A_SECOND = ("drops", "flush the broker")


class Weather:
    """One disturbance after the other, drawn by a seed; keeps what it did, and when."""

    def __init__(
        self, fleet: Fleet, servers: Servers, draw: random.Random, *, freeze_seconds: float
    ) -> None:
        self.fleet, self.servers, self._draw = fleet, servers, draw
        self.freeze_seconds = freeze_seconds
        self.counts: Counter[str] = Counter()
        self.times: list[tuple[float, float]] = []
        """When something went wrong that may cut off an effect: from, and until (by the clock)."""
        self._thaws: list[tuple[float, Callable[[], None]]] = []
        self._kinds: dict[str, tuple[int, Callable[[], bool]]] = {
            "kill a child": (10, self._kill_child),
            "kill a child at work": (14, self._kill_one_at_work),
            "freeze a child at work": (6, self._freeze_one_at_work),
            "kill a parent": (2, self._kill_parent),
            "kill all of a process": (3, self._kill_group),
            "freeze a child": (5, self._freeze_child),
            "freeze a process": (2, self._freeze_group),
            "flush the broker": (3, self._flush),
            "stop the broker": (1, self._stop_broker),
            "kill PostgreSQL": (1, self._kill_postgres),
            "restart PostgreSQL": (1, self._restart_postgres),
            "cut all lines to PostgreSQL": (2, self._cut_lines),
            "drop answers": (8, self._drop_answers),
        }

    def strike(self) -> str:
        """One disturbance; what it was."""
        names = list(self._kinds)
        weights = [self._kinds[name][0] for name in names]
        (name,) = self._draw.choices(names, weights)
        began = time.time()
        if self._kinds[name][1]():
            self.counts[name] += 1
            until = self.freeze_seconds if "freeze" in name else 0.0
            if name not in UNDER_A_SECOND and "drop" not in name:
                self.times.append((began, time.time() + until))
        return name

    def thaw_due(self, *, all_of_them: bool = False) -> None:
        due = [t for t in self._thaws if all_of_them or t[0] <= time.monotonic()]
        for thaw in due:
            self._thaws.remove(thaw)
            thaw[1]()

    def calm(self) -> None:
        """Everything runs again, and no answer is dropped any more."""
        self.thaw_due(all_of_them=True)
        for name in DROPS:
            (world_dir() / name).write_text("0")
        if not self.servers.valkey.is_ready():
            self.servers.valkey.start()

    def _kill_child(self) -> bool:
        child = self.fleet.a_child(self._draw)
        if child is None:
            return False
        return _signal(child, signal.SIGKILL)

    def _at_work(self) -> int | None:
        """A process that holds a claim at this moment."""
        with contextlib.suppress(psycopg.Error):
            with psycopg.connect(self.servers.admin_url, autocommit=True) as line:
                found = line.execute(
                    "SELECT holder FROM runs_claim WHERE holder <> '' UNION"
                    " SELECT holder FROM runs_stepclaim WHERE holder <> '' ORDER BY 1"
                ).fetchall()
            if found:
                return int(self._draw.choice(found)[0].split(":")[2])
        return None

    def _kill_one_at_work(self) -> bool:
        child = self._at_work()
        return child is not None and _signal(child, signal.SIGKILL)

    def _freeze_one_at_work(self) -> bool:
        child = self._at_work()
        if child is None or not _signal(child, signal.SIGSTOP):
            return False
        self._thaw_later(lambda: _signal(child, signal.SIGCONT))
        return True

    def _kill_parent(self) -> bool:
        return _signal(self._any().pid, signal.SIGKILL)

    def _kill_group(self) -> bool:
        self.fleet.signal_group(self._any().pid, signal.SIGKILL)
        return True

    def _freeze_child(self) -> bool:
        child = self.fleet.a_child(self._draw)
        if child is None or not _signal(child, signal.SIGSTOP):
            return False
        self._thaw_later(lambda: _signal(child, signal.SIGCONT))
        return True

    def _freeze_group(self) -> bool:
        group = self._any().pid
        self.fleet.signal_group(group, signal.SIGSTOP)
        self._thaw_later(lambda: self.fleet.signal_group(group, signal.SIGCONT))
        return True

    def _thaw_later(self, thaw: Callable[[], object]) -> None:
        after = self.freeze_seconds * self._draw.uniform(0.4, 1.0)
        self._thaws.append((time.monotonic() + after, lambda: (thaw(), None)[1]))

    def _any(self) -> subprocess.Popen[bytes]:
        return self.fleet.processes[self._draw.choice(list(self.fleet.processes))]

    def _flush(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            redis.Redis.from_url(self.servers.valkey.url(0), socket_timeout=2).flushall()
        return True

    def _stop_broker(self) -> bool:
        self.servers.valkey.kill()
        time.sleep(self._draw.uniform(0.2, 3))
        self.servers.valkey.start()
        return True

    def _kill_postgres(self) -> bool:
        self.servers.postgres.kill()
        time.sleep(self._draw.uniform(0, 1.5))
        self.servers.postgres.start()
        return True

    def _restart_postgres(self) -> bool:
        self.servers.postgres.stop()
        time.sleep(self._draw.uniform(0, 1.5))
        self.servers.postgres.start()
        return True

    def _cut_lines(self) -> bool:
        with contextlib.suppress(psycopg.Error):
            with psycopg.connect(self.servers.admin_url, autocommit=True) as line:
                line.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename LIKE 'placet\\_%' AND pid <> pg_backend_pid()"
                )
        return True

    def _drop_answers(self) -> bool:
        name = self._draw.choice(DROPS)
        (world_dir() / name).write_text(str(self._draw.randint(1, 2)))
        return True


def _signal(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
