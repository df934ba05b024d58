"""A thousand runs parked at gates: what they cost while nothing happens, and how pages feel.

    python -m tests.bench.parked [--runs 1000] [--json PATH]

Read the ratios between one and a thousand; the absolute figures are the machine's.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import redis

from tests.bench import place

IDLE_SECONDS = 10.0
WARMING_RUNS = 8


def measure(count: int) -> dict[str, Any]:
    with place.placet() as servers:
        from tests.browser.web import let_people_sign_in, web_process
        from tests.harness import World
        from tests.stack import Stack

        with World(servers) as world:
            let_people_sign_in()
            log = Path(os.environ["PLACET_TEST_WORLD"]) / "web.log"
            with Stack(servers) as stack, web_process(servers, log) as address:
                return _measure(world, servers, stack, address, count)


def _measure(world: Any, servers: Any, stack: Any, address: str, count: int) -> dict[str, Any]:
    parents = [process.pid for process in stack.processes.values()]
    # Once around, so that whatever starts lazily has started before anything is counted.
    _warm_up(world, stack)
    _park(world, servers, 1)
    pages_before = _pages(world, address)
    before = _state(servers, parents)
    took = _park(world, servers, count - 1)
    after = _state(servers, parents)
    grown = after.pop("bytes") - before.pop("bytes")
    idle = _idle_cpu(servers, parents)
    return {
        "runs parked": count,
        "with one": before,
        "with all": after,
        "bytes a parked run": round(grown / max(count - 1, 1)),
        "runs parked a second": round((count - 1) / took, 1),
        "CPU of all Celery processes while idle, percent": idle,
        "milliseconds with one": pages_before,
        "milliseconds with all": _pages(world, address),
    }


def _warm_up(world: Any, stack: Any) -> None:
    runs = [world.start("adding", numbers=[1] * 20) for _ in range(WARMING_RUNS)]
    runs += [world.start("registering", names=["a", "b", "c"]) for _ in range(WARMING_RUNS)]
    stack.wait_until(
        lambda: all(world.run_now(run).status == "succeeded" for run in runs), "the first runs"
    )


def _park(world: Any, servers: Any, count: int) -> float:
    target = place.ask(servers, "SELECT count(*) FROM approvals_gate") + count
    begin = time.monotonic()
    for _ in range(count):
        world.start("paying", amounts=[9870])
    open_gates = "SELECT count(*) FROM approvals_gate WHERE status = 'open'"
    place.wait_until(lambda: place.ask(servers, open_gates) >= target, "the gates")
    return time.monotonic() - begin


def _state(servers: Any, parents: list[int]) -> dict[str, Any]:
    processes, threads = place.threads_of(parents)
    size = "SELECT pg_database_size('placet')"
    connections = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'placet'"
    return {
        "processes": processes,
        "threads": threads,
        "database connections": place.ask(servers, connections),
        "bytes": place.ask(servers, size),
    }


def _idle_cpu(servers: Any, parents: list[int]) -> float:
    """Once no hint is left: the sweeps were faster than many of them."""
    with redis.Redis.from_url(servers.environment("worker")["PLACET_BROKER_URL"]) as broker:
        queues = ("runs", "gates", "effects", "unacked")
        place.wait_until(lambda: not any(broker.exists(queue) for queue in queues), "quiet")
    time.sleep(2)
    before, begin = place.cpu_seconds(parents), time.monotonic()
    time.sleep(IDLE_SECONDS)
    return round(100 * (place.cpu_seconds(parents) - before) / (time.monotonic() - begin), 1)


def _pages(world: Any, address: str) -> dict[str, Any]:
    from approvals.models import Gate
    from tests.proof.people import Person

    gate = Gate.objects.filter(tenant=world.tenant, status="open").first()
    assert gate is not None
    paths = ("/", "/inbox/", "/runs/", f"/gates/{gate.id}/", f"/runs/{gate.run_id}/")
    calls = (
        "/api/v1/gates?state=open",
        "/api/v1/gates",
        "/api/v1/runs",
        f"/api/v1/gates/{gate.id}",
    )
    found = {}
    with Person(address, "bob") as bob:
        for path in (*paths, *calls):
            name = path.replace(str(gate.id), "<id>").replace(str(gate.run_id), "<id>")
            found[name] = place.timed(20, lambda path=path: _get(bob, path))
    return found


def _get(person: Any, path: str) -> None:
    answer = person.http.get(path)
    assert answer.status_code == 200, (path, answer.status_code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--json", default=os.path.join(tempfile.gettempdir(), "placet-parked.json"))
    given = parser.parse_args()
    figures = measure(given.runs)
    flat = {k: v for k, v in figures.items() if not k.startswith("milliseconds")}
    place.show("Parked runs", flat)
    one, many = figures["milliseconds with one"], figures["milliseconds with all"]
    place.show(
        f"Milliseconds over HTTP, p50 / p95: with one, with {given.runs}",
        {
            p: f"{one[p]['p50']} / {one[p]['p95']}   {many[p]['p50']} / {many[p]['p95']}"
            for p in one
        },
    )
    place.keep(figures, given.json)


if __name__ == "__main__":
    main()
