"""Looks at pages and calls: how long each takes over HTTP, and what it costs the processors.

The time holds what the client and the loopback take as well, and what else the machine does; the
processors' time is that of the web process and of its servers at PostgreSQL, and nothing else's.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.bench import place

FLOOR = "floor: an answer that asks nobody"
VIEWS = {
    "bob": ("mine", "waiting", "expiring", "decided", "closed"),
    "dave": ("all",),
}
UNSORTED = ("decided", "closed")
WEB, SERVERS = b"console.asgi", (b"postgres: placet_web ", b"postgres: placet_auditor ")

Look = dict[str, float]


def looks(address: str, gates: dict[str, Any], *, times: int) -> dict[str, Look]:
    """Every view in every order, a search, the second page; the gates by their names; the calls."""
    from tests.proof.people import Person

    found: dict[str, Look] = {}
    for name, views in VIEWS.items():
        with Person(address, name) as person:
            paths = {}
            if name == "bob":
                paths = {FLOOR: "/healthz", "home": "/"} | _gates(gates) | _calls(person, gates)
            for what, path in (paths | _inbox(person, views)).items():
                found[what] = _timed(times, lambda path=path: _get(person, path))
    return found


def beside(many: dict[str, Look], few: dict[str, Look]) -> dict[str, str]:
    """Lines to read: milliseconds with many, what they cost, and how many times the floor's and
    those with few that is."""
    base = many[FLOOR]["p50"]
    lines = {}
    for what, ms in many.items():
        line = f"{ms['p50']:>6} {ms['p95']:>6}   CPU {ms['CPU p50']:>6} {ms['CPU p95']:>6}"
        line += f"   x {ms['p50'] / base:<5.1f}"
        lines[what] = line + (f" x {ms['p50'] / few[what]['p50']:.1f}" if what in few else "")
    return lines


def _inbox(person: Any, views: tuple[str, ...]) -> dict[str, str]:
    paths = {}
    for view in views:
        path = f"/inbox/?view={view}"
        paths[f"inbox, {view}"] = path
        paths |= _second(person, f"inbox, {view}", path)
        if view not in UNSORTED:
            paths[f"inbox, {view}, by amount"] = f"{path}&sort=amount"
            paths |= _second(person, f"inbox, {view}, by amount", f"{path}&sort=amount")
        paths[f"inbox, {view}, search for one supplier"] = f"{path}&q=supplier+137+ltd"
        paths[f"inbox, {view}, search that finds nothing"] = f"{path}&q=nobody+of+that+name"
    return paths


def _second(person: Any, what: str, path: str) -> dict[str, str]:
    """Where the page itself links to its next one, if it has one."""
    cursors = re.findall(r"cursor=([A-Za-z0-9_%-]+)", _get(person, path).text)
    return {f"{what}, second page": f"{path}&cursor={unquote(cursors[-1])}"} if cursors else {}


def _gates(gates: dict[str, Any]) -> dict[str, str]:
    return {f"gate, {name}": f"/gates/{gate.id}/" for name, gate in gates.items()}


def _calls(person: Any, gates: dict[str, Any]) -> dict[str, str]:
    calls = {
        "GET gates": "/api/v1/gates",
        "GET gates, open": "/api/v1/gates?state=open",
        "GET gates, mine": "/api/v1/gates?view=mine",
    }
    cursor = _get(person, calls["GET gates, open"]).json()["next_cursor"]
    if cursor:
        calls["GET gates, open, second page"] = f"{calls['GET gates, open']}&cursor={cursor}"
    for name in ("confirm", "critical", "closed"):
        calls[f"GET gates/{{id}}, {name}"] = f"/api/v1/gates/{gates[name].id}"
    return calls


def _get(person: Any, path: str) -> Any:
    answer = person.http.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return answer


def _timed(times: int, look: Callable[[], object]) -> Look:
    """Milliseconds on the wall and of the processors, after two looks that only warm up."""
    look(), look()
    processes = [id for id in place.ids_of([os.getpid()]) if _is_measured(id)]
    took, used = [], []
    for _ in range(times):
        cpu, begin = _cpu_seconds(processes), time.perf_counter()
        look()
        took.append((time.perf_counter() - begin) * 1000)
        used.append((_cpu_seconds(processes) - cpu) * 1000)
    costs = place.percentiles(used)
    return place.percentiles(took) | {"CPU p50": costs["p50"], "CPU p95": costs["p95"]}


def _is_measured(id: int) -> bool:
    """Told by its title, for PostgreSQL may be in a room of its own and number them otherwise."""
    try:
        title = Path(f"/proc/{id}/cmdline").read_bytes()
    except OSError:
        return False  # it has ended since it was found
    return title.startswith(SERVERS) or WEB in title


def _cpu_seconds(processes: list[int]) -> float:
    """By each process's own clock (CPUCLOCK_SCHED of Linux's posix-timers.h), which is as fine as
    the scheduler, where /proc tells hundredths."""
    return sum(time.clock_gettime(~id << 3 | 2) for id in processes)
