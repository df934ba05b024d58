"""Steps: how many a second, how long each, and what it costs, beside the floor.

    python -m tests.bench.steps [--parked 10000] [--json PATH]

What counts is the ratio to the floor (see `floor`), which is measured in the same run.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from typing import Any

from tests.bench import floor, place

RUNS, STEPS_A_RUN = 240, 50
TEN_STEP_RUNS = 40
WAKINGS = 30
KILLS = 5
PARKED = 10_000
PARKING_SECONDS = 600
IDLE_SECONDS = 10.0
# What an installation has that sets nothing.
DEFAULTS = {"PLACET_CLAIM_SECONDS": "30", "PLACET_SWEEP_SECONDS": "0.5"}
OURS = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname ~ '^runs_' {}"


def measure(parked: int) -> dict[str, Any]:
    with place.placet() as servers:
        from tests.harness import World
        from tests.stack import Stack

        code = os.environ["PLACET_WORKFLOWS"]
        with World(servers) as world, Stack(servers, PLACET_WORKFLOWS=code, **DEFAULTS) as stack:
            world.policy(tool="transfer")
            return _Bench(world, servers, stack).measure(parked)


class _Bench:
    def __init__(self, world: Any, servers: Any, stack: Any) -> None:
        self.world, self.servers, self.stack = world, servers, stack
        self.parents = [process.pid for process in stack.processes.values()]
        self.worker = stack.processes["worker"].pid

    def measure(self, parked: int) -> dict[str, Any]:
        floor.prepare(self.servers)
        self.finish([self.world.start("ticking", steps=5) for _ in range(10)])
        base, ours = self.floor(), self.saturated()
        figures: dict[str, Any] = {
            "floor": base,
            "saturated": ours,
            "steps a second, percent of the floor": _percent(ours, base),
            "ten steps, ms: floor": floor.ten_steps(self.servers, TEN_STEP_RUNS),
            "ten steps, ms": self.ten_steps(),
            "killed in a step, taken over after, ms": self.takeovers(),
            "signal to next step done, 1 parked, ms": self.signals(),
            "from a decision, 1 parked, ms": self.decisions(),
        }
        figures |= self.park(parked)
        many = f"{parked} parked, ms"
        figures[f"signal to next step done, {many}"] = self.signals()
        figures[f"from a decision, {many}"] = self.decisions()
        figures["processes, threads"] = place.threads_of(self.parents)
        return figures

    def floor(self) -> dict[str, Any]:
        meter = Meter(self.servers)
        steps = floor.saturate(self.servers)
        return meter.read(steps) | {"steps a second": round(steps / floor.SECONDS)}

    def saturated(self) -> dict[str, Any]:
        """The worker stands still until all runs are there, so that only it is measured."""
        os.killpg(self.worker, signal.SIGSTOP)
        try:
            runs = [self.world.start("ticking", steps=STEPS_A_RUN) for _ in range(RUNS)]
            cpu, meter = place.cpu_seconds([self.worker]), Meter(self.servers)
        finally:
            os.killpg(self.worker, signal.SIGCONT)
        self.finish(runs, pause=0.1)
        steps = RUNS * STEPS_A_RUN
        used = place.cpu_seconds([self.worker]) - cpu
        within = """
            SELECT extract(epoch FROM max(finished_at) - min(started_at))
            FROM runs_run WHERE id = ANY(%s)
        """
        seconds = float(place.ask(self.servers, within, [run.id for run in runs]))
        return meter.read(steps) | {
            "steps a second": round(steps / seconds),
            "CPU ms a step (worker)": round(1000 * used / steps, 2),
        }

    def finish(self, runs: list[Any], pause: float = 0.005) -> None:
        ids = [run.id for run in runs]
        left = "SELECT count(*) FROM runs_run WHERE id = ANY(%s) AND finished_at IS NULL"
        place.wait_until(
            lambda: not place.ask(self.servers, left, ids), "the runs to end", pause=pause
        )

    def ten_steps(self) -> dict[str, dict[str, float]]:
        """From the start to the end, by the database's clock."""
        took, first = [], []
        for _ in range(TEN_STEP_RUNS):
            run = self.world.start("ticking", steps=10)
            self.finish([run])
            took.append(self._ms("r.finished_at - r.created_at", run))
            first.append(self._ms("min(s.finished_at) - r.created_at", run))
        return {
            "all": place.percentiles(took),
            "until the first step": place.percentiles(first),
        }

    def takeovers(self) -> dict[str, float]:
        """From kill -9 of the child that is busy with a step to the claim of another."""
        return place.percentiles([self._takeover() for _ in range(KILLS)])

    def _takeover(self) -> float:
        run = self.world.start("bench_long")
        holder = "SELECT holder FROM runs_claim WHERE run_id = %s"
        place.wait_until(lambda: bool(place.ask(self.servers, holder, run.id)), "a claim")
        time.sleep(0.3)
        first = place.ask(self.servers, holder, run.id)
        began = time.monotonic()
        os.kill(int(first.split(":")[-2]), signal.SIGKILL)
        while place.ask(self.servers, holder, run.id) in (first, ""):
            time.sleep(0.005)
        took = (time.monotonic() - began) * 1000
        self.finish([run])
        return took

    def signals(self) -> dict[str, float]:
        """From the signal's row to the end of the step after it."""
        from runs.signals import send_signal
        from tests.harness import as_role

        took = []
        for _ in range(WAKINGS):
            run = self.world.start("awaiting_go")
            self._wait_for_parked(1, run.id)
            with as_role("placet_web"):
                send_signal(
                    run_id=run.id, tenant=run.tenant, name="go", payload=None, sender="alice"
                )
            self.finish([run])
            sent = "(SELECT max(sent_at) FROM runs_signal g WHERE g.run_id = r.id)"
            took.append(self._ms(f"max(s.finished_at) - {sent}", run))
        return place.percentiles(took)

    def decisions(self) -> dict[str, dict[str, float]]:
        """From the decision's row to the end of the payment that was decided on, and to the end of
        the step after it: the gate is closed, the payment made and recorded, the run goes on."""
        paid, after = [], []
        open_gates = "SELECT count(*) FROM approvals_gate WHERE run_id = %s AND status = 'open'"
        for _ in range(WAKINGS):
            run = self.world.start("transferring")
            place.wait_until(
                lambda run=run: bool(place.ask(self.servers, open_gates, run.id)), "the gate"
            )
            self.world.approve_all(run)
            self.finish([run])
            decided = (
                "(SELECT max(d.decided_at) FROM approvals_decision d"
                " JOIN approvals_gate g ON d.gate_id = g.id WHERE g.run_id = r.id)"
            )
            paid.append(self._ms(f"min(s.finished_at) - {decided}", run))
            after.append(self._ms(f"max(s.finished_at) - {decided}", run))
        return {"payment done": place.percentiles(paid), "next step": place.percentiles(after)}

    def park(self, count: int) -> dict[str, Any]:
        """Runs that wait for a signal: what each costs, and what all of them cost at rest."""
        before = place.ask(self.servers, OURS.format("AND relkind IN ('r')"))
        for _ in range(count):
            self.world.start("awaiting_go")
        self._wait_for_parked(count)
        after = place.ask(self.servers, OURS.format("AND relkind IN ('r')"))
        time.sleep(3)
        cpu, began = place.cpu_seconds(self.parents), time.monotonic()
        time.sleep(IDLE_SECONDS)
        used = place.cpu_seconds(self.parents) - cpu
        return {
            f"bytes a parked run, of {count}": round((after - before) / count),
            f"CPU at rest with {count} parked, percent of a core": round(
                100 * used / (time.monotonic() - began), 1
            ),
        }

    def _wait_for_parked(self, count: int, id: Any = None) -> None:
        parked = (
            "SELECT count(*) FROM runs_run WHERE workflow = 'awaiting_go' AND status = 'waiting'"
            " AND (%s::uuid IS NULL OR id = %s)"
        )
        place.wait_until(
            lambda: place.ask(self.servers, parked, id, id) >= count,
            "the runs to park",
            PARKING_SECONDS,
        )

    def _ms(self, what: str, run: Any) -> float:
        query = (
            f"SELECT extract(epoch FROM {what}) * 1000"
            " FROM runs_run r JOIN runs_step s ON s.run_id = r.id WHERE r.id = %s GROUP BY r.id"
        )
        return float(place.ask(self.servers, query, run.id))


class Meter:
    """What the server wrote between two moments, shared out over the steps."""

    def __init__(self, servers: Any) -> None:
        self.servers = servers
        self.wal, self.commits = self._now()

    def read(self, steps: int) -> dict[str, Any]:
        # The server's statistics reach the view about a second late.
        time.sleep(1.5)
        wal, commits = self._now()
        return {
            "WAL bytes a step": round((wal - self.wal) / steps),
            "commits a step": round((commits - self.commits) / steps, 2),
        }

    def _now(self) -> tuple[int, int]:
        wal = place.ask(self.servers, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
        commits = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'placet'"
        return int(wal), int(place.ask(self.servers, commits))


def _percent(ours: dict[str, Any], base: dict[str, Any]) -> int:
    return round(100 * ours["steps a second"] / base["steps a second"])


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
