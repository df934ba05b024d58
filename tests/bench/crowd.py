"""Ten thousand open gates: copies of a few real ones, put there by SQL behind the guards.

What is copied was opened by the processes, so each row is as they write it; only whom it is for,
what it pays and when it ends differ. To open each one for real would take half an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.harness import admin

PAYEES = 400
DAYS = 60

PLAN = """
    CREATE TEMP TABLE bench_crowd AS
    SELECT n, gen_random_uuid() AS run, gen_random_uuid() AS step, gen_random_uuid() AS gate,
           old.id AS of_gate, old.step_id AS of_step, old.run_id AS of_run,
           old.status = 'open' AS is_open,
           CASE WHEN n %% 20 = 0 THEN %(reviewer)s ELSE old.requester_id END AS requester,
           'GB29NWBK' || lpad((n * 7919 %% %(payees)s)::text, 10, '0') AS payee,
           'Supplier ' || (n * 7919 %% %(payees)s) || ' Ltd' AS payee_name,
           -- A million is more than any band of the rules: none of these is in their sums.
           100 + n * 104729 %% 1000000 AS amount,
           now() - (n * 31 %% %(days)s + 1) * interval '1 day' AS closed_at,
           now() + interval '1 hour' + n * interval '4 minutes' AS expires_at
    FROM generate_series(1, %(count)s) AS n
    JOIN approvals_gate old ON old.id = (%(of)s::uuid[])[1 + n %% %(kinds)s]
"""
# A decision's seal names its gate, so the copies are votes to read and none to count.
COPIES = {
    "runs_run": (
        "old.id = c.of_run",
        "'id', c.run, 'requested_by_id', c.requester",
    ),
    "runs_step": (
        "old.id = c.of_step",
        "'id', c.step, 'run_id', c.run, 'key', 'bench-' || c.step,"
        " 'finished_at', CASE WHEN c.is_open THEN NULL ELSE c.closed_at END",
    ),
    "approvals_gate": (
        "old.id = c.of_gate",
        "'id', c.gate, 'step_id', c.step, 'run_id', c.run, 'requester_id', c.requester,"
        " 'payee', c.payee, 'payee_name', c.payee_name, 'amount_minor', c.amount,"
        " 'opened_at', CASE WHEN c.is_open THEN old.opened_at ELSE c.closed_at END,"
        " 'closed_at', CASE WHEN c.is_open THEN NULL ELSE c.closed_at END,"
        " 'expires_at', c.expires_at",
    ),
    "approvals_decision": (
        "old.gate_id = c.of_gate",
        "'id', gen_random_uuid(), 'gate_id', c.gate,"
        " 'decided_at', CASE WHEN c.is_open THEN old.decided_at ELSE c.closed_at END",
    ),
    # Told already: the gatekeeper would be busy with telling it all for minutes.
    "approvals_notice": ("old.gate_id = c.of_gate", "'id', gen_random_uuid(), 'gate_id', c.gate"),
}
COPY = """
    INSERT INTO {table} SELECT made.* FROM bench_crowd c JOIN {table} old ON {of},
        LATERAL jsonb_populate_record(old, jsonb_build_object({changed})) AS made
"""


def put(count: int, of: Sequence[Any], *, reviewer: int) -> None:
    """So many copies of these gates, in turn; every twentieth is the reviewer's own request."""
    values = {
        "count": count,
        "of": [str(gate.id) for gate in of],
        "kinds": len(of),
        "reviewer": reviewer,
        "payees": PAYEES,
        "days": DAYS,
    }
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        # All at once: what is told already is not to be told by the gatekeeper meanwhile.
        with superuser.transaction():
            superuser.execute(PLAN, values)
            for table, (of_old, changed) in COPIES.items():
                superuser.execute(COPY.format(table=table, of=of_old, changed=changed))
        for table in COPIES:
            superuser.execute(f"VACUUM ANALYZE {table}")
