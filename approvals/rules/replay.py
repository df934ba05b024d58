"""What a draft of a policy would have said about past requests, beside what the one in force says.

A request is replayed from the envelope of its gate, with the circumstances that were recorded
there. Where a policy asks for more than was recorded, rows are counted as of the moment at
which the gate was opened. What is held without a gate is replayed as of now. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model

from approvals import envelope, limits, policies
from approvals.models import Gate
from approvals.rules.circumstances import is_known, read_circumstances
from approvals.rules.evaluate import Kind, Outcome, evaluate, needed
from approvals.rules.facts import Circumstances, Request, free_text_of, request_of
from runs import canonical
from runs.clock import database_now
from runs.models import Step

USUALLY = 500
"""So many requests are replayed where nobody says how many."""


class Change(StrEnum):
    """What a draft would do to a request, beside the policy in force."""

    BLOCKED = "newly blocked"
    ASKED = "newly asked"
    OTHERWISE = "asked otherwise"
    ALLOWED = "newly allowed"
    SAME = "same"


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """One past request under both policies. `gate_id` is None where no gate was ever opened."""

    step_id: UUID
    gate_id: UUID | None
    request: Request
    before: Outcome
    after: Outcome

    @property
    def change(self) -> Change:
        before, after = self.before.kind, self.after.kind
        if _is_refused(after):
            return Change.SAME if _is_refused(before) else Change.BLOCKED
        if before != after:
            return Change.ASKED if after == Kind.CONSENT else Change.ALLOWED
        if after == Kind.CONSENT and self.before.then != self.after.then:
            return Change.OTHERWISE
        return Change.SAME


def _is_refused(kind: Kind) -> bool:
    return kind in (Kind.BLOCK, Kind.HELD)


def simulate(
    *,
    tenant: str,
    draft: dict[str, Any],
    in_force: dict[str, Any] | None = None,
    most: int = USUALLY,
) -> Iterator[Replayed]:
    """What is held without a gate, then the newest gates, `most` of each at the most.

    Both documents are in their normal form; `in_force` is what decides now, unless it is given.
    Raises `ValueError` beyond `limits.MAX_SIMULATED`.
    """
    if not 1 <= most <= limits.MAX_SIMULATED:
        raise ValueError(f"From 1 to {limits.MAX_SIMULATED} past requests can be replayed.")
    if in_force is None:
        policy = policies.in_force(tenant)
        in_force = policies.EMPTY if policy is None else policy.body
    for step, request in _held(tenant, most):
        known = _Known(request, but=None)
        yield known.replay(in_force, draft, step.id, None)
    for gate in _past(tenant, most):
        told = canonical.decode(gate.envelope)
        known = _Known(request_of(told), but=gate.id, recorded=told["circumstances"])
        yield known.replay(in_force, draft, gate.step_id, gate.id)


def count(replayed: Iterable[Replayed]) -> dict[Change, int]:
    """How many requests a draft changes, by how."""
    made = dict.fromkeys(Change, 0)
    for one in replayed:
        made[one.change] += 1
    return made


class _Known:
    """The circumstances of one request, read when they are needed, once for both documents."""

    def __init__(
        self, request: Request, *, but: UUID | None, recorded: dict[str, Any] | None = None
    ) -> None:
        self.request = request
        self.but = but
        self.found = Circumstances() if recorded is None else Circumstances.from_json(recorded)

    def replay(
        self, in_force: dict[str, Any], draft: dict[str, Any], step_id: UUID, gate_id: UUID | None
    ) -> Replayed:
        return Replayed(
            step_id=step_id,
            gate_id=gate_id,
            request=self.request,
            before=self._evaluate(in_force),
            after=self._evaluate(draft),
        )

    def _evaluate(self, document: dict[str, Any]) -> Outcome:
        needs = needed(document, self.request)
        known = self.found
        if not is_known(needs, known):
            until = None if self.but is None else self.request.at
            known = read_circumstances(needs, self.request, until=until, but=self.but)
        return evaluate(document, self.request, known)


def _past(tenant: str, most: int) -> list[Gate]:
    """No canary: what a policy says about a test tells nothing about requests."""
    newest = Gate.objects.filter(tenant=tenant, step__canary=None).order_by("-opened_at", "-id")
    return list(newest.only("id", "step_id", "envelope")[:most])


def _held(tenant: str, most: int) -> Iterator[tuple[Step, Request]]:
    """What waits because no rule covers it, or because nobody could decide."""
    held = Step.objects.filter(
        tenant=tenant, status=Step.Status.HELD, declaration__isnull=False, gate__isnull=True
    )
    steps = list(held.select_related("run", "declaration").order_by("-id")[:most])
    people = get_user_model().objects.filter(pk__in={one.run.requested_by_id for one in steps})
    names = dict(people.values_list("pk", "username"))
    now = database_now()
    for step in steps:
        assert step.declaration is not None
        body = step.declaration.body
        arguments = canonical.decode(step.arguments)
        yield (
            step,
            Request(
                tool=step.name,
                workflow=step.run.workflow,
                agent=step.run.agent,
                requester=names[step.run.requested_by_id],
                tenant=tenant,
                money=envelope.money_of(body, arguments),
                arguments=arguments,
                free_text=free_text_of(body, arguments),
                run_id=str(step.run_id),
                at=now,
            ),
        )
