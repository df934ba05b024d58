"""A Placet to measure: real servers, one of each process or more, and nothing played."""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def placet() -> Iterator[Any]:
    """Servers in a home of their own, Django set up as the owner; gives `tests.servers`'s."""
    from tests import servers as real

    # Who is told to end, by `timeout` or else, ends what it started as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Told to end."))
    home = Path(tempfile.mkdtemp(prefix="placet-bench-"))
    servers = real.start(home)
    try:
        os.environ |= {
            "PLACET_HOME": str(home),
            "PLACET_PROCESS": "owner",
            "PLACET_WORKFLOWS": "tests.zoo,tests.bench.work",
            "DJANGO_SETTINGS_MODULE": "console.settings",
        }
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0, interactive=False)
        from tests import harness

        harness.prepare(servers)
        _send_hints()
        yield servers
    finally:
        _watching(servers.admin_url).close()
        servers.stop()
        shutil.rmtree(home, ignore_errors=True)


def _send_hints() -> None:
    """What web does after a start or a decision; without it the sweeps would be measured."""
    from console.celery import send_hint
    from console.live.publish import publish
    from runs import dispatch

    dispatch.plug(send_hint)
    dispatch.plug_live(publish)


def ask(servers: Any, query: str, *values: object) -> Any:
    """One value, as the superuser, on one connection: to open one is work that would be measured
    with the rest."""
    row = _watching(servers.admin_url).execute(query, values, prepare=True).fetchone()
    return None if row is None else row[0]


@cache
def _watching(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, autocommit=True)


def ids_of(process_ids: Sequence[int]) -> list[int]:
    """These processes and all that descend from them."""
    from console.embedded.processes import children_of

    found, waiting = [], list(process_ids)
    while waiting:
        found.append(waiting.pop())
        waiting += children_of(found[-1])
    return found


def threads_of(process_ids: Sequence[int]) -> tuple[int, int]:
    """How many processes there are, and how many threads in them."""
    found = ids_of(process_ids)
    return len(found), sum(len(os.listdir(f"/proc/{id}/task")) for id in found)


def cpu_seconds(process_ids: Sequence[int]) -> float:
    """What these and their descendants have used so far."""
    used = 0
    for id in ids_of(process_ids):
        fields = Path(f"/proc/{id}/stat").read_text().rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / TICKS


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)
    return {
        "p50": round(statistics.median(ordered), 1),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 1),
    }


def timed(times: int, deed: Callable[[], object]) -> dict[str, float]:
    """p50 and p95 in milliseconds, after two calls that only warm up."""
    deed(), deed()
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        deed()
        took.append((time.perf_counter() - begin) * 1000)
    return percentiles(took)


def wait_until(
    is_so: Callable[[], bool], what: str, seconds: float = 120, *, pause: float = 0.005
) -> float:
    """How long it took, in seconds; `pause` is how long between two looks."""
    begin = time.monotonic()
    while not is_so():
        if time.monotonic() - begin > seconds:
            for log in sorted(Path(os.environ["PLACET_TEST_WORLD"]).glob("*.log")):
                print(f"--- {log.name}\n{log.read_text()[-2000:]}")
            raise SystemExit(f"Waited {seconds:.0f} s for {what}.")
        time.sleep(pause)
    return time.monotonic() - begin


def show(title: str, figures: dict[str, Any]) -> None:
    print(f"\n{title}")
    for name, value in figures.items():
        print(f"  {name:<52} {value}")


def keep(figures: dict[str, Any], path: str) -> None:
    """Writes the figures where the caller said; never into the repository by itself."""
    Path(path).write_text(json.dumps(figures, indent=2) + "\n")
    print(f"\nWritten to {path}")
