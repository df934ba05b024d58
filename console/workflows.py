"""Placet's own workflow: what it takes to tell the outside of a notice, as durable steps."""

from __future__ import annotations

from typing import Any

from runs import Retry, tool, workflow
from runs.reserved import DELIVER, NOTIFY

DAYS_TO_DELIVER = 3
RETRY = Retry(attempts=8, base_seconds=2.0, cap_seconds=600.0, spent="fail")


@tool(effect="keyed", secret="notices/{channel}", retry=RETRY, timeout=60, name=DELIVER)
def deliver(call: Any, *, notice: str, channel: str) -> dict[str, str]:
    """Tell one channel of one notice.

    The key is the number of the notice: a receiver of webhooks drops what it has had, and a
    message names it, so that a person who is told twice sees that it is the same. What is said is
    read here from the notice's row: whoever starts this chooses neither words nor address.
    """
    from console.notices import sending

    return sending.deliver(notice=notice, channel=channel, secret=call.secret)


@workflow(NOTIFY, version=1, deadline_seconds=DAYS_TO_DELIVER * 24 * 60 * 60)
def notify(run: Any, *, notice: str, channels: list[str]) -> list[dict[str, str]]:
    """Tell each channel of a notice; one that fails keeps no other from being told."""
    calls = [run.prepare(deliver, notice=notice, channel=channel) for channel in channels]
    outcomes = run.gather(calls, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return list(outcomes)
