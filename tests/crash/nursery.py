"""A process that starts as one of Placet's processes does, and forks children that play it.

Each line on standard input is a turn, as JSON: what this process would do now, done once. A
turn that names a point (`kill`) is played by a fresh child, which kills itself there; all
others by one child that lives on, so that its connections do too. With `hold` that one waits
at the point until the file of that name is taken away. The answer names the points reached.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import django

PROCESS = os.environ.get("PLACET_PROCESS", "")


def main() -> None:
    django.setup()
    import console.celery  # noqa: F401
    import runs.tasks  # noqa: F401  What a child of Celery's has loaded long before.
    import tests.crash.people  # noqa: F401

    warm_up()
    to_player, to_nursery = os.pipe(), os.pipe()
    if os.fork() == 0:
        os.close(to_player[1])
        live(to_player[0], to_nursery[1])
    commands, answers = os.fdopen(to_player[1], "w"), os.fdopen(to_nursery[0])
    os.close(to_nursery[1])
    for line in sys.stdin:
        if json.loads(line).get("kill"):
            print(json.dumps(play_in_a_child(line)), flush=True)
        else:
            print(line.strip(), file=commands, flush=True)
            print(answers.readline().strip(), flush=True)


def warm_up() -> None:
    """What every child would load, compile and look through for itself, once for all of them."""
    from django.db import connections, transaction

    if PROCESS != "web":
        with transaction.atomic():
            look_around()
            transaction.set_rollback(True)
        connections.close_all()
    gc.collect()
    gc.freeze()


def live(commands: int, answers: int) -> None:
    """Plays turn after turn, as a child of Celery's does, until the nursery closes."""
    with os.fdopen(commands) as lines, os.fdopen(answers, "w") as out:
        for line in lines:
            print(json.dumps(play(json.loads(line))), file=out, flush=True)
    os._exit(0)


def play_in_a_child(line: str) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        said = play(json.loads(line), tell=writing)
        if "error" in said:
            print(f"{PROCESS}: {said['error']}", file=sys.stderr, flush=True)
        os._exit(1 if "error" in said else 0)
    os.close(writing)
    with os.fdopen(reading) as told:
        points = told.read().splitlines()
    _, status = os.waitpid(child, 0)
    return {"points": points, "code": os.waitstatus_to_exitcode(status)}


def play(turn: dict[str, Any], *, tell: int | None = None) -> dict[str, Any]:
    """One turn; returns the points that were reached, commits without one, and what went wrong."""
    from django.db import close_old_connections, connection

    from runs import points
    from tests.crash.commits import Commits

    reached: list[str] = []
    commits = Commits()
    place, number = turn.get("kill") or turn.get("hold") or (None, 0)

    def observe(point: str) -> None:
        reached.append(point)
        commits.named(point)
        if tell is not None:
            os.write(tell, f"{point}\n".encode())
        if point == place and reached.count(point) == number:
            if turn.get("kill"):
                os.kill(os.getpid(), signal.SIGKILL)
            hold(Path(turn["at"]))

    points.observer = observe
    said: dict[str, Any] = {"points": reached, "code": 0}
    close_old_connections()  # As before each task.
    try:
        with commits.counted():
            take(turn)
    except Exception as error:
        said["error"] = f"{type(error).__name__}: {error}"
        connection.close_if_unusable_or_obsolete()
    return said | {"unnamed": commits.unnamed}


def hold(at: Path) -> None:
    at.touch()
    deadline = time.monotonic() + 60
    while at.exists() and time.monotonic() < deadline:
        time.sleep(0.005)


def take(turn: dict[str, Any]) -> None:
    """What this process would do now: its sweeps, and what it is hinted to."""
    from approvals.tasks import keep
    from runs.tasks import advance, execute
    from tests.crash import people

    if PROCESS == "web":  # Nobody else looks at the plan.
        people.act(turn["plan"])
        return
    queue, hinted = look_around()
    task = {"runs": advance, "effects": execute, "gates": keep}[queue]
    for id in hinted:
        task(str(id))


def look_around() -> tuple[str, list[Any]]:
    """This process's sweeps; returns its queue, and what they hint it to."""
    from console.celery import sweeps_of
    from runs import dispatch

    hinted: list[tuple[str, Any]] = []
    dispatch.plug(lambda queue, id: hinted.append((queue, id)))
    dispatch.plug_live(None)
    dispatch.plug_listener(None)
    queue, sweeps = sweeps_of(PROCESS)
    for sweep in sweeps:
        sweep()
    return queue, list(dict.fromkeys(id for where, id in hinted if where == queue))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    # A turn is over when its call returns: nothing of it is left to a thread.
    os.environ["PLACET_RUNS_AT_ONCE"] = "1"
    main()
