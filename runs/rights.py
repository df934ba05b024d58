"""What each process may do with the rows of the engine (DESIGN section 3).

A right is `SELECT`, `INSERT`, `DELETE`, or one of them with its columns in brackets.
Applied by `console.rights` after each `migrate`; nothing else grants anything.
"""

from __future__ import annotations

Grants = dict[str, dict[str, list[str]]]

APPEND_ONLY = ["runs_event", "runs_settlement", "runs_completion"]

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
        "runs_signal",
        "runs_completion",
        "runs_schedule",
        "runs_tick",
    )
}

GRANTS: Grants = {
    "placet_web": _READ
    | {
        "runs_run": [
            "SELECT",
            "INSERT",
            "UPDATE (status, cancel_requested_at, cancel_requested_by, pause_requested_at,"
            " terminate_requested_at, steered_because, waiting_for, waiting_since, wake_at)",
        ],
        "runs_claim": ["SELECT", "INSERT", "UPDATE (last_seq)"],
        "runs_settlement": ["SELECT", "INSERT"],
        "runs_signal": ["SELECT", "INSERT"],
        "runs_completion": ["SELECT", "INSERT"],
        "runs_schedule": ["SELECT", "INSERT", "UPDATE"],
        "runs_tick": [
            "SELECT",
            "INSERT",
            "UPDATE (outcome, because, is_backfill, starts_at, decided_at)",
        ],
        "runs_event": _APPEND_EVENT,
    },
    "placet_gatekeeper": _READ
    | {
        # INSERT for runs that deliver notices and for inert ones: see `runs_guard_new_run`.
        # What else it may write of a run and its steps is for inert runs: see `runs.guards.INERT`.
        "runs_run": [
            "SELECT",
            "INSERT",
            "UPDATE (status, wake_at, error, finished_at, waiting_for, waiting_since)",
        ],
        "runs_claim": ["SELECT", "INSERT", "UPDATE (last_seq)"],
        "runs_step": [
            "SELECT",
            "INSERT (id, tenant, run_id, position, kind, name, effect, is_money, is_remote,"
            " declaration_id, status, arguments, digest, key, attempt, failures, result,"
            " held_because, created_at, started_at, finished_at)",
            "UPDATE (status, clearance_id, held_because, error, finished_at)",
        ],
        "runs_event": _APPEND_EVENT,
    },
    "placet_worker": _READ
    | {
        "runs_run": [
            "SELECT",
            "INSERT",
            "UPDATE (status, result, error, waiting_for, waiting_since, wake_at, progress_done,"
            " progress_total, progress_note, started_at, finished_at, awaited, awaits_any, ending,"
            " cancel_requested_at, cancel_requested_by, pause_requested_at, steered_because)",
        ],
        "runs_claim": [
            "SELECT",
            "INSERT",
            "UPDATE (fence, holder, expires_at, last_seq, deaths, died_at)",
        ],
        "runs_step": [
            "SELECT",
            "INSERT (id, tenant, run_id, position, kind, name, effect, is_money, is_remote,"
            " declaration_id, status, arguments, digest, key, attempt, failures, not_before,"
            " result, error, held_because, created_at, started_at, finished_at, deaths, unknowns,"
            " give_up_at, copied_from)",
            "UPDATE (status, attempt, failures, not_before, result, error, started_at,"
            " finished_at, deaths, unknowns, give_up_at)",
        ],
        "runs_signal": ["SELECT", "INSERT", "UPDATE (taken_at)"],
        "runs_schedule": ["SELECT", "UPDATE (next_at)"],
        "runs_tick": ["SELECT", "INSERT", "UPDATE (outcome, because, run_id, decided_at)"],
        "runs_event": _APPEND_EVENT,
    },
    "placet_executor": _READ
    | {
        "runs_run": ["SELECT", "UPDATE (status, wake_at, waiting_for, waiting_since, error)"],
        "runs_claim": ["SELECT", "UPDATE (last_seq)"],
        "runs_step": [
            "SELECT",
            "UPDATE (status, attempt, failures, not_before, result, error, started_at,"
            " finished_at, deaths, unknowns, give_up_at)",
        ],
        "runs_stepclaim": ["SELECT", "INSERT", "UPDATE"],
        "runs_effect": ["SELECT", "INSERT", "UPDATE (status, settled_at)"],
        "runs_event": _APPEND_EVENT,
    },
    "placet_auditor": _READ,
}
