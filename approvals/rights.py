"""What each process may do with the rows of consent (DESIGN section 3)."""

from __future__ import annotations

from runs.rights import Grants

APPEND_ONLY = ["approvals_decision", "approvals_clearance", "approvals_clearanceuse"]

_READ = {
    table: ["SELECT"]
    for table in (
        "approvals_reviewer",
        "approvals_policy",
        "approvals_gate",
        "approvals_decision",
        "approvals_clearance",
        "approvals_clearanceuse",
    )
}

GRANTS: Grants = {
    "placet_web": _READ
    | {
        "approvals_decision": [
            "SELECT",
            "INSERT (id, tenant, gate_id, person_id, verdict, reason, digest, method, seal,"
            " signature, decided_at, writer)",
        ],
    },
    "placet_gatekeeper": _READ
    | {
        "approvals_gate": ["SELECT", "INSERT", "UPDATE (status, closed_at)"],
        "approvals_clearance": ["SELECT", "INSERT"],
        "console_user": ["SELECT (id, username, tenant, is_active)"],
    },
    "placet_executor": {
        table: ["SELECT"]
        for table in (
            "approvals_gate",
            "approvals_policy",
            "approvals_decision",
            "approvals_clearance",
            "approvals_clearanceuse",
        )
    },
    "placet_auditor": _READ,
}
