"""The planting of canaries: how often, when, and what is wrong with them.

The policy in force says how many a tenant has in any seven days. When, nobody can tell: each
pass of the gatekeeper draws a lot whose chance depends on the time since the last one alone. A
canary is modelled on a payment that was made, with one flaw; it passes through the policy as any
other request, and where that would ask nobody, none is planted.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from random import SystemRandom
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet

from approvals import asking, gates, limits, policies
from approvals.models import Canary, Gate
from approvals.rules.evaluate import Kind
from approvals.sweeping import handled
from runs import canonical, transitions
from runs.limits import MAX_AMOUNT_MINOR
from runs.models import Settlement, Step
from runs.points import reach

logger = logging.getLogger(__name__)

WEEK_SECONDS = 7 * 24 * 60 * 60
MODELS_TRIED = 5
"""Former payments that one pass tries, where the policy would ask nobody about the first."""
HEAD = 4
"""Characters at the beginning of an account that another one shares: country and check digits."""

# Tenants that may have one more: as many as the policy says in seven days, one after the other.
DUE = """
    SELECT p.tenant, p.per_week FROM (
        SELECT tenant, (convert_from(document, 'UTF8')::jsonb->'canaries'->>'per_week')::integer
            AS per_week
        FROM approvals_policy WHERE retired_at IS NULL) p
    WHERE p.per_week > (SELECT count(*) FROM approvals_canary c WHERE c.tenant = p.tenant
                        AND c.planted_at > clock_timestamp() - interval '7 days')
      AND NOT EXISTS (SELECT FROM approvals_canary c JOIN approvals_gate g ON g.step_id = c.step_id
                      WHERE c.tenant = p.tenant AND g.status = 'open')
"""
# What is over: somebody has decided, and the hint of it was lost, or somebody wants its run to end,
# which no worker ever will.
OVER = """
    SELECT c.step_id FROM approvals_canary c
    JOIN approvals_gate g ON g.step_id = c.step_id JOIN runs_run r ON r.id = g.run_id
    WHERE g.status = 'open'
      AND (r.cancel_requested_at IS NOT NULL OR r.terminate_requested_at IS NOT NULL
           OR EXISTS (SELECT FROM approvals_decision d WHERE d.gate_id = g.id))
"""


class _AsksNobody(Exception):
    """The policy would not ask people about this; nothing of it is kept."""


class Planting:
    """Draws at each pass whether a tenant gets a canary now; `draw` gives from 0 up to 1."""

    def __init__(self, draw: Callable[[], float] | None = None) -> None:
        self._draw = draw or SystemRandom().random
        self._at: float | None = None

    def sweep(self) -> int:
        """For the gatekeeper. Returns how many canaries were planted or ended."""
        now = time.monotonic()
        passed = 0.0 if self._at is None else now - self._at
        self._at = now
        ended = sum(_end(step_id) for (step_id,) in _rows(OVER))
        due = [tenant for tenant, often in _rows(DUE) if self._draw() < chance(often, passed)]
        return ended + sum(_plant(tenant) for tenant in due)


def _end(step_id: UUID) -> bool:
    failed = "The canary of step %s could not be ended; it stays open."
    return handled(gates.keep, step_id, failed)


def _plant(tenant: str) -> bool:
    failed = "No canary could be planted in %s."
    return handled(lambda one: plant(one) is not None, tenant, failed)


def chance(per_week: int, seconds: float) -> float:
    """How likely one falls into so many seconds, where `per_week` do into a week on average."""
    return 1.0 - math.exp(-per_week * seconds / WEEK_SECONDS)


def plant(tenant: str) -> Gate | None:
    """Opens a gate for a canary; None where there is no payment to model one on, or where the
    policy would ask nobody about any that was tried."""
    random = SystemRandom()
    newest = list(models_of(tenant)[: limits.CANARY_MODELS])
    for model in random.sample(newest, min(MODELS_TRIED, len(newest))):
        for flaw in random.sample(list(Canary.Flaw), len(Canary.Flaw)):
            gate = _planted(model, flaw)
            if gate is not None:
                return gate
    return None


def models_of(tenant: str) -> QuerySet[Gate]:
    """Payments that were made, the newest first."""
    paid = Gate.objects.filter(
        tenant=tenant,
        status=Gate.Status.APPROVED,
        amount_minor__isnull=False,
        step__status=Step.Status.SUCCEEDED,
        # An inert run comes from nothing, and so does what it looks like.
        run__parent=None,
        run__continued_from=None,
        run__forked_from=None,
        run__schedule=None,
    ).exclude(step__settlements__answer=Settlement.Answer.SKIP)
    return paid.select_related("step__declaration", "step__run").order_by("-closed_at", "id")


def _planted(model: Gate, flaw: str) -> Gate | None:
    assert model.step.declaration is not None, "a payment has one"
    arguments = canonical.decode(model.step.arguments)
    flawed = with_flaw(arguments, model.step.declaration.body["money"], flaw)
    if flawed is None:
        return None
    try:
        with transaction.atomic():
            policies.lock(model.tenant)
            step_id = transitions.insert_like(model.step, flawed)
            Canary.objects.create(step_id=step_id, tenant=model.tenant, flaw=flaw, model=model)
            gate = _opened(step_id)
    except _AsksNobody:
        return None
    reach("committed:canary.planted")
    logger.info("a canary was planted in %s", model.tenant)
    return gate


def _opened(step_id: UUID) -> Gate:
    """Opened as any other gate is, where the policy asks people; raises `_AsksNobody`."""
    step = Step.objects.select_related("run", "declaration").get(pk=step_id)
    asked = asking.ask(step)
    if asked.because or asked.outcome.kind != Kind.CONSENT or not gates.keep(step_id):
        raise _AsksNobody
    return Gate.objects.get(step_id=step_id)


def with_flaw(arguments: dict[str, Any], money: dict[str, str], flaw: str) -> dict[str, Any] | None:
    """The arguments of a payment with something wrong in them; None where that cannot be."""
    if flaw == Canary.Flaw.AMOUNT:
        amount = arguments[money["amount"]] * 10
        return None if amount > MAX_AMOUNT_MINOR else arguments | {money["amount"]: amount}
    account = another_account(arguments[money["payee"]])
    return None if account is None else arguments | {money["payee"]: account}


def another_account(account: str) -> str | None:
    """Of the same form, with other digits, and of nobody: where the account has check digits,
    they do not fit. None where it has no digits to change."""
    random = SystemRandom()
    head, tail = account[:HEAD], account[HEAD:]
    if sum(one.isdigit() for one in tail) < 2:
        return None
    while True:
        changed = "".join(random.choice("0123456789") if one.isdigit() else one for one in tail)
        if changed != tail and not _fits(head + changed):
            return head + changed


def _fits(account: str) -> bool:
    """Whether the check digits of an IBAN (ISO 13616) are right."""
    plain = "".join(account.split()).upper()
    if not plain.isascii() or not plain.isalnum():
        return False
    return int("".join(str(int(one, 36)) for one in plain[HEAD:] + plain[:HEAD])) % 97 == 1


def _rows(query: str) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        yield from cursor.fetchall()
