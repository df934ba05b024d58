"""Celery: carries hints, runs slices. Nothing here is trusted to arrive, or to arrive once.

The settings are those that the known traps of Celery ask for. No ETA and no countdown
anywhere: timers are rows.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import time
from typing import Any
from uuid import UUID

import celery.signals
from celery import Celery
from celery.worker import state

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

from django.conf import settings

from console import listening
from console.hints import QUEUES, TASKS, HintTask
from runs import prepared

logger = logging.getLogger(__name__)

DEAF_SECONDS = 5.0
BREAK_SECONDS = 2.0
LOST_GATES_SECONDS = 2.0
NOTICES_SECONDS = 1.0
DRAWS_SECONDS = 5.0
UNTOLD_SECONDS = 2.0
SHUTDOWN_SECONDS = 6.0
ASK_AGAIN_SECONDS = 2.0
"""How long a message that lets a child listen has to arrive before another is sent."""
CANARIES_SECONDS = 5.0

app = Celery("placet", task_cls=HintTask)
app.conf.update(
    broker_url=settings.PLACET_BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_connection_timeout=2,
    broker_transport_options={
        "visibility_timeout": 1800,
        "unacked_restore_interval": 10,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 10,
    },
    imports=("runs.tasks", "approvals.tasks"),
    task_acks_late=True,
    task_reject_on_worker_lost=False,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_time_limit=1500,
    task_create_missing_queues=True,
    worker_prefetch_multiplier=1,
    # A broker that blinks must not end an effect in flight; a second message finds it claimed.
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_soft_shutdown_timeout=20,
    worker_send_task_events=False,
    worker_enable_remote_control=False,
    task_send_sent_event=False,
)

# Celery would close the database's connection before and after each task, and most of a short
# task would be opening it again. Kept instead, and looked at once a task: see `look_at_database`.
app.conf["CELERY_DB_REUSE_MAX"] = sys.maxsize // 2

_broken_until = 0.0
_sent = 0
_asks_at = 0.0
_children = 1
_sweepers: list[Any] = []


def send_hint(queue: str, id: UUID) -> None:
    """Sends a hint. While the broker is away it is not tried again for a moment, so that
    nobody waits for it: the sweep finds the work."""
    global _broken_until
    if time.monotonic() < _broken_until:
        return
    try:
        if not listening.tell(queue, id):
            _send_message(queue, id)
    except Exception:
        _broken_until = time.monotonic() + BREAK_SECONDS
        raise


def _send_message(queue: str, id: UUID) -> None:
    global _sent
    app.send_task(TASKS[queue], args=[str(id)], queue=queue, retry=False, ignore_result=True)
    _sent += 1


@celery.signals.worker_process_init.connect
def leave_modules_alone(**_: Any) -> None:
    """What a child begins with stays for good: it is not searched for garbage, which takes a
    tenth of a second in the middle of somebody's step."""
    gc.freeze()


@celery.signals.worker_process_shutdown.connect
def let_slices_end(**_: Any) -> None:
    """What a child's threads are doing may end; what cannot in time is done again elsewhere."""
    if settings.PLACET_PROCESS == "worker":
        from runs.tasks import crew

        crew().end(SHUTDOWN_SECONDS)


@celery.signals.setup_logging.connect
def keep_logging(**_: Any) -> None:
    """Logging is as the settings say; Celery would put its own in its place."""


@celery.signals.task_prerun.connect
def look_at_database(**_: Any) -> None:
    """Lets go of a connection that was lost before the message came."""
    prepared.look_at_connections()


@celery.signals.worker_ready.connect
def start_sweepers(sender: Any = None, **_: Any) -> None:
    """The sweeps of this process, in a thread of the parent."""
    global _children
    _children = getattr(getattr(sender, "pool", None), "limit", None) or 1
    from runs.sweeper import Sweeper

    name, sweeps = sweeps_of(settings.PLACET_PROCESS)
    sweeps.append(heard(let_children_listen))
    _sweepers.append(Sweeper(name, sweeps))
    for sweeper in _sweepers:
        sweeper.start()


def sweeps_of(process: str) -> tuple[str, list[Any]]:
    """What a process looks for by itself, and the name of that; nothing for web."""
    from approvals import changes, planting, secondlooks, tasks
    from runs import children, completions, overdue, recovery, schedules, settlements
    from runs.sweeper import Seldom

    if process == "worker":
        return "runs", [
            recovery.release_runs_of_the_dead,
            recovery.wake_due_runs,
            schedules.fire_due_schedules,
            overdue.end_overdue_runs,
            Seldom(children.find_untold, UNTOLD_SECONDS),
            heard(recovery.hint_lost_runs),
        ]
    if process == "executor":
        return "effects", [
            recovery.release_steps_of_the_dead,
            recovery.recover_lost_steps,
            settlements.carry_out,
            completions.carry_out,
            recovery.expire_completions,
            heard(recovery.hint_due_steps),
        ]
    if process == "gatekeeper":
        lost = Seldom(tasks.LostGates().sweep, LOST_GATES_SECONDS)
        untold = Seldom(tasks.sweep_notices, NOTICES_SECONDS)
        asked = [tasks.sweep_key_requests, tasks.sweep_glasses, changes.sweep]
        draws = Seldom(secondlooks.Draws().sweep, DRAWS_SECONDS)
        canaries = Seldom(planting.Planting().sweep, CANARIES_SECONDS)
        return "gates", [tasks.sweep_due_gates, *asked, lost, untold, draws, canaries]
    return process, []


def let_children_listen() -> int:
    """Sends a message for each child that has none: with it, the child begins to listen. While
    any does, whoever has a hint is told so."""
    global _asks_at
    queue = QUEUES.get(settings.PLACET_PROCESS)
    if queue is None or not listening.is_possible() or time.monotonic() < _broken_until:
        return 0
    if state.active_requests:
        listening.mark(queue)
    idle = max(_children - len(state.reserved_requests), 0)
    if idle and time.monotonic() >= _asks_at:
        _asks_at = time.monotonic() + ASK_AGAIN_SECONDS
        for _ in range(idle):
            _send_message(queue, listening.NOBODY)
    return idle


@celery.signals.worker_shutting_down.connect
def stop_sweepers(**_: Any) -> None:
    listening.end()
    for sweeper in _sweepers:
        sweeper.stop()


def heard(sweep: Any) -> Any:
    """The sweep, watched: a worker that hints for so long and gets nothing back is deaf.

    Celery's consumer can stay connected and hear nothing after the broker was away. The
    process then ends itself, and the supervisor starts another.
    """
    hearing = Hearing()

    def watched() -> int:
        if not listening.is_possible() and len(state.active_requests) >= _children:
            # Whoever is free next goes on with whatever is ready; hints would only pile up.
            return 0
        found = int(sweep())
        if hearing.is_deaf(found):
            logger.error("This worker hears nothing from the broker; it ends, to be restarted.")
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    return watched


class Hearing:
    """Whether messages still arrive, of which this process knows that they were sent."""

    def __init__(self) -> None:
        self._sent, self._received = _sent, state.total_count.total()
        self._asked_at: float | None = None

    def is_deaf(self, found: int) -> bool:
        """Asked after each sweep: nothing came, for so long after this process sent a hint.

        Work that is found again and again is no sign of it: it may be work that cannot be
        done. Nor is a pool that is full: it takes no message until a place is free.
        """
        now = time.monotonic()
        received = state.total_count.total()
        is_full = bool(state.active_requests or state.reserved_requests)
        if not found or is_full or received != self._received or now < _broken_until:
            self._received, self._sent, self._asked_at = received, _sent, None
        elif self._asked_at is None:
            self._asked_at = now if _sent > self._sent else None
        elif now - self._asked_at > DEAF_SECONDS:
            self._sent, self._asked_at = _sent, None
            return True
        return False
