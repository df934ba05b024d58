"""What each process may do with the rows of consent (DESIGN section 3)."""

from __future__ import annotations

from runs.rights import Grants

APPEND_ONLY = [
    "approvals_decision",
    "approvals_clearance",
    "approvals_clearanceuse",
    "approvals_keyrevocation",
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
        "approvals_keyrequest",
        "approvals_key",
        "approvals_keyrevocation",
    )
}

GRANTS: Grants = {
    "placet_web": _READ
    | {
        "approvals_decision": [
            "SELECT",
            "INSERT (id, tenant, gate_id, person_id, verdict, reason, digest, method, seal,"
            " key_id, client_data, authenticator_data, signature, decided_at, writer)",
        ],
        "approvals_keyrequest": ["SELECT", "INSERT"],
        "approvals_keyrevocation": ["SELECT", "INSERT"],
    },
    "placet_gatekeeper": _READ
    | {
        "approvals_gate": ["SELECT", "INSERT", "UPDATE (status, closed_at)"],
        "approvals_clearance": ["SELECT", "INSERT"],
        "approvals_keyrequest": ["SELECT", "UPDATE (refused_because)"],
        "approvals_key": ["SELECT", "INSERT", "UPDATE (vouched_at)"],
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
            "approvals_key",
            "approvals_keyrevocation",
        )
    },
    "placet_auditor": _READ,
}
