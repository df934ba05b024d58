"""The only writer of a run's and a step's status.

Each verb is one transaction: the lock on the run's claim row (with the fence, where a
claim stands behind the verb), a guarded change of status, an event, and a hint once it
has committed. A guard that finds another status than it expected raises `ClaimMissed`;
a lost claim raises `Fenced`. Nothing here calls the network.

    run:  ready -> running -> waiting -> ready ...        -> succeeded | failed | cancelled
                      |-> quarantined (a person looks)
    step: held -(clearance)-> ready -> running -> succeeded | failed | in_doubt
            |-> denied           ^--- (retry, take-over) ---|
          held, ready -> cancelled
"""

from runs.transitions.asides import pause, pause_for_a_person, quarantine
from runs.transitions.attempts import (
    Outcome,
    end_waiting,
    finish_attempt,
    take_over,
)
from runs.transitions.births import start_child
from runs.transitions.endings import (
    begin_undo,
    cancel_paused,
    cancel_unstarted,
    finish_run,
    terminate,
)
from runs.transitions.holds import clear, deny, explain_hold
from runs.transitions.inert import end_inert, insert_like
from runs.transitions.parking import Declared, declare, park, wake
from runs.transitions.recording import Recording, record
from runs.transitions.rows import ENDED_STEP, MAY_START
from runs.transitions.starts import put_off_start, start_step
from runs.transitions.timers import DEADLINE, request_end_by_deadline, wake_due

__all__ = [
    "DEADLINE",
    "ENDED_STEP",
    "MAY_START",
    "Declared",
    "Outcome",
    "Recording",
    "begin_undo",
    "cancel_paused",
    "cancel_unstarted",
    "clear",
    "declare",
    "deny",
    "end_inert",
    "end_waiting",
    "explain_hold",
    "finish_attempt",
    "finish_run",
    "insert_like",
    "park",
    "pause",
    "pause_for_a_person",
    "put_off_start",
    "quarantine",
    "record",
    "request_end_by_deadline",
    "start_child",
    "start_step",
    "take_over",
    "terminate",
    "wake",
    "wake_due",
]
