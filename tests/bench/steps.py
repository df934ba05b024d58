"""Steps: how many a second, how long each, and what it costs, beside the floor.

    python -m tests.bench.steps [--json PATH]

The floor is the least that can be durable: psycopg, prepared, one INSERT and COMMIT a step, on
the same server, at the same concurrency, in the same minute. What counts is the ratio to it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from typing import Any

import psycopg

from tests.bench import place

RUNS, STEPS_A_RUN = 60, 50
TEN_STEP_RUNS = 40
DECISIONS = 30
PARKED = 1000
FLOOR_SECONDS = 4.0
# As `programs.QUEUES` starts the worker: two processes.
WRITERS = 2


def measure(parked: int) -> dict[str, Any]:
    with place.placet() as servers:
        from tests.harness import World
        from tests.stack import Stack

        code = os.environ["PLACET_WORKFLOWS"]
        with World(servers) as world, Stack(servers, PLACET_WORKFLOWS=code) as stack:
            parents = [process.pid for process in stack.processes.values()]
            _finish(servers, [world.start("ticking", steps=5) for _ in range(10)])
            figures = {
                "floor": _floor(servers),
                "saturated": _saturated(world, servers, stack.processes["worker"].pid),
                "ten steps, one run at a time, ms": _ten_steps(world, servers),
                "decision to next step done, 1 parked, ms": _decisions(world, servers),
            }
            _park(world, servers, parked)
            name = f"decision to next step done, {parked} parked, ms"
            figures[name] = _decisions(world, servers)
            figures["processes, threads"] = place.threads_of(parents)
    ratio = figures["saturated"]["steps a second"] / figures["floor"]["steps a second"]
    figures["steps a second, of the floor"] = f"{100 * ratio:.0f} %"
    return figures


def _floor(servers: Any) -> dict[str, Any]:
    """As many connections as there are worker processes, each committing one row at a time."""
    with psycopg.connect(servers.admin_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bench_floor (run int, seq int, body bytea)")
    counts = [0] * WRITERS
    ends_at = time.monotonic() + FLOOR_SECONDS

    def write(writer: int) -> None:
        with psycopg.connect(servers.admin_url, autocommit=True) as connection:
            while time.monotonic() < ends_at:
                connection.execute(
                    "INSERT INTO bench_floor VALUES (%s, %s, %s)",
                    (writer, counts[writer], b"x" * 200),
                    prepare=True,
                )
                counts[writer] += 1

    meter = Meter(servers)
    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return meter.read(sum(counts))


class Meter:
    """What the server wrote between two moments, shared out over the steps."""

    def __init__(self, servers: Any) -> None:
        self.servers = servers
        self.began = time.monotonic()
        self.wal, self.commits = self._now()

    def read(self, steps: int) -> dict[str, Any]:
        took = time.monotonic() - self.began
        # The server's statistics reach the view about a second late.
        time.sleep(1.5)
        wal, commits = self._now()
        return {
            "steps a second": round(steps / took),
            "WAL bytes a step": round((wal - self.wal) / steps),
            "commits a step": round((commits - self.commits) / steps, 2),
        }

    def _now(self) -> tuple[int, int]:
        wal = place.ask(self.servers, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
        commits = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'placet'"
        return int(wal), int(place.ask(self.servers, commits))


def _saturated(world: Any, servers: Any, worker: int) -> dict[str, Any]:
    cpu = place.cpu_seconds([worker])
    meter = Meter(servers)
    runs = [world.start("ticking", steps=STEPS_A_RUN) for _ in range(RUNS)]
    _finish(servers, runs)
    steps = RUNS * STEPS_A_RUN
    used = place.cpu_seconds([worker]) - cpu
    within = """
        SELECT extract(epoch FROM max(finished_at) - min(started_at))
        FROM runs_run WHERE id = ANY(%s)
    """
    seconds = float(place.ask(servers, within, [run.id for run in runs]))
    return meter.read(steps) | {
        "steps a second": round(steps / seconds),
        "CPU ms a step (worker)": round(1000 * used / steps, 2),
    }


def _finish(servers: Any, runs: list[Any]) -> None:
    ids = [run.id for run in runs]
    left = "SELECT count(*) FROM runs_run WHERE id = ANY(%s) AND finished_at IS NULL"
    place.wait_until(lambda: not place.ask(servers, left, ids), "the runs to end")


def _ten_steps(world: Any, servers: Any) -> dict[str, float]:
    """From the start's commit to the end's, by the database's clock."""
    took = []
    for _ in range(TEN_STEP_RUNS):
        run = world.start("ticking", steps=10)
        _finish(servers, [run])
        took.append(_between(servers, "finished_at - created_at", run.id))
    return place.percentiles(took)


def _between(servers: Any, what: str, run_id: object) -> float:
    query = f"SELECT extract(epoch FROM {what}) * 1000 FROM runs_run WHERE id = %s"
    return float(place.ask(servers, query, run_id))


def _decisions(world: Any, servers: Any) -> dict[str, float]:
    """From the decision's row to the end of the step after the payment, by the database."""
    took = []
    for _ in range(DECISIONS):
        run = _park(world, servers, 1)
        world.approve_all(run)
        _finish(servers, [run])
        took.append(
            float(
                place.ask(
                    servers,
                    """
                    SELECT extract(epoch FROM max(s.finished_at) - max(d.decided_at)) * 1000
                    FROM runs_step s JOIN approvals_gate g ON g.run_id = s.run_id
                    JOIN approvals_decision d ON d.gate_id = g.id WHERE s.run_id = %s
                    """,
                    run.id,
                )
            )
        )
    return place.percentiles(took)


def _park(world: Any, servers: Any, count: int) -> Any:
    open_gates = "SELECT count(*) FROM approvals_gate WHERE status = 'open'"
    target = place.ask(servers, open_gates) + count
    runs = [world.start("paying", amounts=[9870]) for _ in range(count)]
    place.wait_until(lambda: place.ask(servers, open_gates) >= target, "the gates")
    return runs[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parked", type=int, default=PARKED)
    parser.add_argument("--json", default=os.path.join(tempfile.gettempdir(), "placet-steps.json"))
    given = parser.parse_args()
    figures = measure(given.parked)
    place.show("Steps", figures)
    place.keep(figures, given.json)


if __name__ == "__main__":
    main()
