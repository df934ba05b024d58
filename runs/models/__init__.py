"""The rows of the engine. Written only by the verbs of this room (see `transitions`).

Everything that belongs to somebody carries its tenant, and every unique key that a
person could meet begins with it. Arguments, inputs and results are kept as the exact
RFC 8785 bytes that were digested: `jsonb` would reorder and reformat them.
"""

from runs.models.declarations import Declaration, WorkflowDeclaration
from runs.models.ids import new_id
from runs.models.journal import Event
from runs.models.messages import Signal
from runs.models.runs import Claim, Run
from runs.models.schedules import Schedule, Tick
from runs.models.steps import Completion, Effect, Settlement, Step, StepClaim

__all__ = [
    "Claim",
    "Completion",
    "Declaration",
    "Effect",
    "Event",
    "Run",
    "Schedule",
    "Settlement",
    "Signal",
    "Step",
    "StepClaim",
    "Tick",
    "WorkflowDeclaration",
    "new_id",
]
