"""A process that starts as one of Placet's processes does, and forks children that play it.

Each line on standard input is the number of the point at which the child kills itself (0:
none). A child does once what its process would do now; every point it reaches is appended
to `POINTS`, so that the count goes on over all children. The answer is how the child ended.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import django

POINTS = "PLACET_TEST_POINTS"


def main() -> None:
    django.setup()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            play(int(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def play(crash_at: int) -> None:
    from runs import points

    reached = Path(os.environ[POINTS])

    def observe(point: str) -> None:
        with reached.open("a") as file:
            file.write(f"{point}\n")
        if len(reached.read_text().splitlines()) == crash_at:
            os.kill(os.getpid(), signal.SIGKILL)

    points.observer = observe
    try:
        turn()
    except BaseException as error:
        print(f"{os.environ['PLACET_PROCESS']}: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def turn() -> None:
    from approvals import tasks
    from runs import effects, recovery, worker

    process = os.environ["PLACET_PROCESS"]
    if process == "worker":
        recovery.wake_due_runs()
        recovery.hint_lost_runs()
        worker.drain(first=_lost_run())
    elif process == "gatekeeper":
        tasks.sweep_due_gates()
        tasks.LostGates().sweep()
    else:
        recovery.recover_lost_steps()
        effects.drain()


def _lost_run() -> object:
    """What a hint of the sweep would name: a run whose worker's claim has ended."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id FROM runs_run r JOIN runs_claim c ON c.run_id = r.id"
            " WHERE r.status = 'running' AND c.expires_at <= clock_timestamp() LIMIT 1"
        )
        row = cursor.fetchone()
    return None if row is None else row[0]


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    main()
