"""Whether the circumstances in an envelope are those that rows tell; asked by the executor.

Who opens a gate says by which circumstances a rule was chosen, and could name milder ones, so that
nobody is asked, or fewer people are. So the executor reads them again, as of the same moment.
Between the two readings a payment may have ended, or a gate closed, whose time was taken a moment
before: then rows tell milder circumstances than the envelope does. That one asked for more, and
is let pass.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from approvals.rules.circumstances import read_circumstances
from approvals.rules.evaluate import evaluate, needed
from approvals.rules.facts import Circumstances, free_text_of, request_of

OPENED_WITHIN = timedelta(minutes=1)
"""How long after the moment of its circumstances a gate may have been opened."""


def untrue(
    told: dict[str, Any],
    *,
    document: dict[str, Any],
    rule: int,
    declaration: dict[str, Any],
    agent: str,
    gate_id: UUID,
    opened_at: datetime,
) -> str:
    """What is not true of an envelope's circumstances, in words; empty when nothing is.

    `told` is the decoded envelope, `document` the policy of its gate, `rule` the one that decided
    there, `declaration` the tool's own, `agent` that of the run, by its row. Reads more rows only
    where the document needs them.
    """
    request = request_of(told)
    if request.free_text != free_text_of(declaration, request.arguments):
        return "The request carries other free text than its gate tells."
    if request.agent != agent:
        return "The gate tells of another agent than its run is of."
    if not timedelta(0) <= opened_at - request.at <= OPENED_WITHIN:
        return "The gate tells of another moment than the one at which it was opened."
    needs = needed(document, request)
    if not needs:
        return ""
    known = read_circumstances(needs, request, until=request.at, but=gate_id)
    outcome = evaluate(document, request, known)
    if outcome.rule == rule or not _is_milder(
        Circumstances.from_json(told["circumstances"]), known
    ):
        return ""
    return f"The gate tells of milder circumstances than there were. {outcome.because}"


def _is_milder(told: Circumstances, known: Circumstances) -> bool:
    """Whether something that is looked up for strictness' sake was told as less than it is."""
    return (
        any(
            one not in told.sums or told.sums[one].amount_minor < known.sums[one].amount_minor
            for one in known.sums
        )
        or (known.first_seen is True and told.first_seen is not True)
        or (known.account_changed is True and told.account_changed is not True)
        or (known.compared_with == "" and told.compared_with != "")
        or any(is_so and not told.changed.get(one) for one, is_so in known.changed.items())
    )
