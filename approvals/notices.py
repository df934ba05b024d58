"""Notices: what happened at gates and has not been told yet is written down once, and sent.

Nothing here is part of deciding. The gatekeeper's sweep compares gates, decisions and steps with
the notices that there are, and writes what is missing: a crash anywhere costs time, never a
notice, and the key of the table keeps a second one out. Each notice with channels starts a run
of `placet.notify`, in the transaction that writes it, so that its delivery is durable steps.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from approvals import limits, telling
from approvals.models import Channel, Gate, Notice
from runs import canonical, dispatch, reserved
from runs.births import insert_run
from runs.models import WorkflowDeclaration, new_id
from runs.points import reach

logger = logging.getLogger(__name__)

Kind = Notice.Kind
ABOUT_GATES = [kind for kind in Kind if kind != Kind.TEST]
"""What people and channels are told of, without the test of a channel."""

# Each line: what happened, which one of its kind it is, and when. A gate's own wishes (when to
# remind, when to ask more people) are in its policy's words, where it has any. A canary is told
# of while it is open, else its silence would give it away; that it ended is no news.
HAPPENED = """
    SELECT g.tenant, g.id AS gate_id, 'opened' AS kind, '' AS subject, g.opened_at AS at
    FROM approvals_gate g
    WHERE g.status = 'open' AND g.opened_at > %(since)s
  UNION ALL
    SELECT g.tenant, g.id, 'reminder', '', g.opened_at + w.remind * interval '1 second'
    FROM approvals_gate g CROSS JOIN LATERAL (SELECT coalesce((
        g.needs->'consent'->>'remind_after_seconds')::integer, %(remind)s)) w(remind)
    WHERE g.status = 'open' AND w.remind > 0 AND g.expires_at > clock_timestamp()
      AND g.opened_at + w.remind * interval '1 second' <= clock_timestamp()
      AND g.opened_at + w.remind * interval '1 second' > %(since)s
  UNION ALL
    SELECT g.tenant, g.id, 'escalated', '', g.opened_at + w.escalate * interval '1 second'
    FROM approvals_gate g CROSS JOIN LATERAL (SELECT (
        g.needs->'consent'->'escalation'->>'after_seconds')::integer) w(escalate)
    WHERE g.status = 'open' AND g.expires_at > clock_timestamp()
      AND g.opened_at + w.escalate * interval '1 second' <= clock_timestamp()
      AND g.opened_at + w.escalate * interval '1 second' > %(since)s
  UNION ALL
    SELECT g.tenant, g.id, CASE g.status WHEN 'expired' THEN 'expired' ELSE 'decided' END,
        CASE g.status WHEN 'expired' THEN '' ELSE g.status END, g.closed_at
    FROM approvals_gate g
    WHERE g.status NOT IN ('open', 'withdrawn') AND g.closed_at > %(since)s
      AND NOT EXISTS (SELECT FROM approvals_canary c WHERE c.step_id = g.step_id)
  UNION ALL
    SELECT g.tenant, g.id,
        CASE s.status WHEN 'succeeded' THEN 'executed' ELSE s.status END,
        CASE s.status WHEN 'in_doubt' THEN s.attempt::text ELSE '' END,
        coalesce(s.finished_at, s.started_at, clock_timestamp())
    FROM approvals_gate g JOIN runs_step s ON s.id = g.step_id
    WHERE g.status = 'approved' AND g.closed_at > %(since)s
      AND s.status IN ('succeeded', 'failed', 'in_doubt')
  UNION ALL
    SELECT c.tenant, c.gate_id, 'commented', c.id::text, c.said_at
    FROM approvals_comment c WHERE c.said_at > %(since)s
"""
UNTOLD = f"""
    SELECT h.* FROM ({HAPPENED}) h WHERE NOT EXISTS (
        SELECT FROM approvals_notice n WHERE n.tenant = h.tenant AND n.gate_id = h.gate_id
            AND n.kind = h.kind AND n.subject = h.subject)
    ORDER BY h.at, h.gate_id LIMIT %(most)s
"""
UNTESTED = """
    SELECT c.id, c.tested_at FROM approvals_channel c
    WHERE c.tested_at > %(since)s AND c.removed_at IS NULL AND NOT EXISTS (
        SELECT FROM approvals_notice n WHERE n.tenant = c.tenant AND n.kind = 'test'
            AND n.subject = c.id || '@' || extract(epoch FROM c.tested_at)::bigint)
    LIMIT %(most)s
"""
SINCE = "SELECT clock_timestamp() - %s * interval '1 second'"


@dataclass(frozen=True, kw_only=True)
class Happened:
    """What is to be told: which gate, what of it, which one of its kind, and when it was."""

    tenant: str
    gate_id: UUID
    kind: str
    subject: str
    at: datetime


def sweep() -> int:
    """Writes the notices that are missing, and starts their delivery; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(SINCE, [limits.NOTICE_SECONDS])
        asked = {"since": cursor.fetchone()[0], "most": limits.SWEEP_BATCH}
        cursor.execute(UNTOLD, asked | {"remind": limits.REMIND_AFTER_SECONDS})
        columns = ("tenant", "gate_id", "kind", "subject", "at")
        untold = [Happened(**dict(zip(columns, row, strict=True))) for row in cursor.fetchall()]
        cursor.execute(UNTESTED, asked)
        untested = cursor.fetchall()
    told = sum(_safely(_tell, happened) for happened in untold)
    return told + sum(_safely(_test, channel_id, at) for channel_id, at in untested)


def _safely(tell: Any, *given: Any) -> bool:
    """One notice that cannot be written keeps no other from being told."""
    try:
        return bool(tell(*given))
    except Exception as error:
        logger.exception("A notice could not be written (%s); it is tried again.", error)
        return False


def _tell(happened: Happened) -> bool:
    gate = telling.gate_of(happened.gate_id)
    facts, people = telling.facts_of(gate, happened.kind, happened.subject)
    notice = Notice(
        id=new_id(),
        tenant=happened.tenant,
        gate_id=happened.gate_id,
        kind=happened.kind,
        subject=happened.subject,
        happened_at=happened.at,
        facts=facts,
        people=people,
        channels=_channels(happened),
    )
    return _write(notice, gate.requester_id, gate)


def _channels(happened: Happened) -> list[str]:
    """Those that want to know, and were there when it happened: none is told of the past."""
    wanting = Channel.objects.filter(
        tenant=happened.tenant,
        kinds__contains=[happened.kind],
        paused_at__isnull=True,
        removed_at__isnull=True,
        created_at__lte=happened.at,
    )
    return [str(id) for id in wanting.order_by("id").values_list("id", flat=True)]


def _test(channel_id: UUID, at: datetime) -> bool:
    """A notice about nothing, to one channel: also to one that is paused."""
    channel = Channel.objects.get(pk=channel_id)
    notice = Notice(
        id=new_id(),
        tenant=channel.tenant,
        kind=Kind.TEST,
        subject=f"{channel.id}@{int(at.timestamp())}",
        happened_at=at,
        facts={"channel": channel.name},
        channels=[str(channel.id)],
    )
    return _write(notice, channel.tested_by_id or channel.created_by_id, None)


def _write(notice: Notice, requester_id: int, gate: Gate | None) -> bool:
    """The notice and the run that delivers it, both or none; False where another was faster."""
    with transaction.atomic():
        if not _insert(notice):
            return False
        reach("notice.written")
        if notice.channels:
            _start(notice, requester_id)
        if gate is not None:
            dispatch.show(notice.tenant, "gate", gate.id, 0)
    reach("committed:notice.written")
    return True


def _insert(notice: Notice) -> bool:
    """Whether it is new: two gatekeepers may have found the same at once."""
    Notice.objects.bulk_create([notice], ignore_conflicts=True)
    return Notice.objects.filter(pk=notice.pk).exists()


def _start(notice: Notice, requester_id: int) -> None:
    """A run for whoever asked for what the gate is about: it follows from what they asked."""
    insert_run(
        tenant=notice.tenant,
        declared=WorkflowDeclaration.objects.get(name=reserved.NOTIFY, is_current=True),
        encoded=canonical.encode({"notice": str(notice.id), "channels": notice.channels}),
        requested_by_id=requester_id,
        actor="gatekeeper",
        said={"notice": str(notice.id), "kind": notice.kind},
        idempotency_key=run_key(notice.id),
    )


def run_key(notice_id: UUID | str) -> str:
    """The idempotency key of the run that delivers a notice."""
    return f"notice:{notice_id}"


def concerning(person: Any) -> Q:
    """The notices on this person's own list: they are among its people, and have not muted it."""
    return Q(tenant=person.tenant, people__contains=[person.pk], written_at__lte=Now())
