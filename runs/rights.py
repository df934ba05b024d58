"""What each process may do with the rows of the engine (DESIGN section 3).

A right is `SELECT`, `INSERT`, `DELETE`, or one of them with its columns in brackets.
Applied by `console.rights` after each `migrate`; nothing else grants anything.
"""

from __future__ import annotations

Grants = dict[str, dict[str, list[str]]]

APPEND_ONLY = ["runs_event", "runs_settlement"]

_APPEND_EVENT = [
    "SELECT",
    "INSERT (tenant, run_id, seq, kind, position, actor, body, trace_id)",
]
_READ = {
    table: ["SELECT"]
    for table in (
        "runs_run",
        "runs_claim",
        "runs_step",
        "runs_stepclaim",
        "runs_effect",
        "runs_event",
        "runs_declaration",
        "runs_workflowdeclaration",
        "runs_settlement",
    )
}

GRANTS: Grants = {
    "placet_web": _READ
    | {
        "runs_run": [
            "SELECT",
            "INSERT",
            "UPDATE (status, cancel_requested_at, cancel_requested_by)",
        ],
        "runs_claim": ["SELECT", "INSERT", "UPDATE (last_seq)"],
        "runs_settlement": ["SELECT", "INSERT"],
        "runs_event": _APPEND_EVENT,
    },
    "placet_gatekeeper": _READ
    | {
        "runs_run": ["SELECT", "UPDATE (status, wake_at)"],
        "runs_claim": ["SELECT", "UPDATE (last_seq)"],
        "runs_step": [
            "SELECT",
            "UPDATE (status, clearance_id, held_because, error, finished_at)",
        ],
        "runs_event": _APPEND_EVENT,
    },
    "placet_worker": _READ
    | {
        "runs_run": [
            "SELECT",
            "UPDATE (status, result, error, waiting_for, waiting_since, wake_at, progress_done,"
            " progress_total, progress_note, started_at, finished_at)",
        ],
        "runs_claim": ["SELECT", "UPDATE (fence, holder, expires_at, last_seq)"],
        "runs_step": [
            "SELECT",
            "INSERT (id, tenant, run_id, position, kind, name, effect, is_money, is_remote,"
            " declaration_id, status, arguments, digest, key, attempt, failures, not_before,"
            " result, error, held_because, created_at, started_at, finished_at)",
            "UPDATE (status, attempt, failures, not_before, result, error, started_at,"
            " finished_at)",
        ],
        "runs_event": _APPEND_EVENT,
    },
    "placet_executor": _READ
    | {
        "runs_run": ["SELECT", "UPDATE (status, wake_at, waiting_for)"],
        "runs_claim": ["SELECT", "UPDATE (last_seq)"],
        "runs_step": [
            "SELECT",
            "UPDATE (status, attempt, failures, not_before, result, error, started_at,"
            " finished_at)",
        ],
        "runs_stepclaim": [
            "SELECT",
            "INSERT",
            "UPDATE (fence, holder, expires_at)",
        ],
        "runs_effect": ["SELECT", "INSERT", "UPDATE (status, settled_at)"],
        "runs_event": _APPEND_EVENT,
    },
    "placet_auditor": _READ,
}
