"""`manage.py gates`: what waits for people, most urgent first."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from approvals import counting
from approvals.envelope import phrase
from approvals.models import Gate
from console.management.money import money
from console.management.people import table
from console.management.plain import PlainCommand

MAX_ROWS = 1000


class Command(PlainCommand):
    help = "List gates."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--state", choices=Gate.Status.values, default=Gate.Status.OPEN)
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, state: str, **options: Any) -> None:
        gates = (
            Gate.objects.filter(status=state)
            .select_related("requester", "policy")
            .prefetch_related("decisions__revocation")
            .defer("envelope")
            .order_by("expires_at", "id")[:MAX_ROWS]
        )
        if options["json"]:
            for gate in gates:
                self.stdout.write(json.dumps(_facts(gate)))
        elif gates:
            heads = ("ID", "PAY", "PAYEE", "TOOL", "REQUESTER", "APPROVALS", "EXPIRES", "PHRASE")
            self.stdout.write(table(heads, [_row(gate) for gate in gates]))
        else:
            self.stdout.write(f"There are no gates that are {state}.")


def _facts(gate: Gate) -> dict[str, Any]:
    return {
        "id": str(gate.id),
        "run_id": str(gate.run_id),
        "state": gate.status,
        "tool": gate.tool,
        "amount_minor": gate.amount_minor,
        "currency": gate.currency,
        "payee": gate.payee,
        "payee_name": gate.payee_name,
        "requester": gate.requester.username,
        "policy": gate.rule_name,
        "quorum": gate.quorum,
        "approvals": counting.standing(gate.decisions.all()),
        "digest": bytes(gate.digest).hex(),
        "expires_at": gate.expires_at.isoformat(),
    }


def _row(gate: Gate) -> tuple[object, ...]:
    return (
        gate.id,
        "" if gate.amount_minor is None else money(gate.amount_minor, gate.currency),
        f"{gate.payee_name} {gate.payee}".strip(),
        gate.tool,
        gate.requester.username,
        f"{counting.standing(gate.decisions.all())} of {gate.quorum}",
        _left(gate),
        phrase(bytes(gate.digest)),
    )


def _left(gate: Gate) -> str:
    seconds = int((gate.expires_at - timezone.now()).total_seconds())
    if gate.status != Gate.Status.OPEN or seconds <= 0:
        return f"{gate.expires_at:%Y-%m-%d %H:%M} UTC"
    hours, minutes = divmod(seconds // 60, 60)
    return f"in {hours // 24} d {hours % 24} h" if hours >= 24 else f"in {hours} h {minutes} min"
