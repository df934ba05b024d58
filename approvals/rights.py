"""What each process may do with the rows of consent (DESIGN section 3)."""

from __future__ import annotations

from runs.rights import Grants

APPEND_ONLY = [
    *("approvals_decision", "approvals_clearance", "approvals_clearanceuse"),
    *("approvals_notice", "approvals_comment"),
]

_READ = {
    table: ["SELECT"]
    for table in (
        "approvals_reviewer",
        "approvals_policy",
        "approvals_gate",
        "approvals_decision",
        "approvals_clearance",
        "approvals_clearanceuse",
        "approvals_channel",
        "approvals_notice",
        "approvals_comment",
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
        "approvals_comment": ["SELECT", "INSERT"],
        "approvals_channel": [
            "SELECT",
            "INSERT",
            "UPDATE (kinds, paused_at, removed_at, tested_at, tested_by_id)",
        ],
        "approvals_mute": ["SELECT", "INSERT", "DELETE"],
    },
    "placet_gatekeeper": _READ
    | {
        "approvals_gate": ["SELECT", "INSERT", "UPDATE (status, closed_at)"],
        "approvals_clearance": ["SELECT", "INSERT"],
        "approvals_notice": ["SELECT", "INSERT"],
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
            "approvals_channel",
            "approvals_notice",
        )
    },
    "placet_auditor": _READ,
}
