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

from runs.transitions.attempts import Outcome, finish_attempt, start_step, take_over
from runs.transitions.holds import clear, deny, explain_hold
from runs.transitions.of_runs import (
    Declared,
    Recording,
    cancel_unstarted,
    finish_run,
    park,
    quarantine,
    record,
    wake,
)
from runs.transitions.rows import ENDED_STEP

__all__ = [
    "ENDED_STEP",
    "Declared",
    "Outcome",
    "Recording",
    "cancel_unstarted",
    "clear",
    "deny",
    "explain_hold",
    "finish_attempt",
    "finish_run",
    "park",
    "quarantine",
    "record",
    "start_step",
    "take_over",
    "wake",
]
