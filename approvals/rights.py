"""What each process may do with the rows of consent (DESIGN section 3)."""

from __future__ import annotations

from runs.rights import Grants

APPEND_ONLY = [
    "approvals_decision",
    "approvals_clearance",
    "approvals_clearanceuse",
    "approvals_revocation",
    "approvals_viewing",
    "approvals_keyrevocation",
]
FUNCTIONS = {
    "placet_web": ["approvals_is_member", "approvals_requested_before", "approvals_fitting"],
    "placet_gatekeeper": ["approvals_fitting", "approvals_askable"],
    "placet_executor": ["approvals_fitting"],
}
"""What a process asks the database by name; all other functions stand behind triggers."""

_READ = {
    table: ["SELECT"]
    for table in (
        "approvals_reviewer",
        "approvals_policy",
        "approvals_gate",
        "approvals_decision",
        "approvals_clearance",
        "approvals_clearanceuse",
        "approvals_revocation",
        "approvals_viewing",
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
            "INSERT (id, tenant, gate_id, person_id, on_behalf_of_id, verdict, reason, typed,"
            " digest, method, seal, key_id, client_data, authenticator_data, signature, decided_at,"
            " writer)",
        ],
        "approvals_revocation": [
            "SELECT",
            "INSERT (decision_id, tenant, reason, seal, revoked_at, writer)",
        ],
        "approvals_viewing": ["SELECT", "INSERT (tenant, gate_id, person_id, since)"],
        "approvals_keyrequest": ["SELECT", "INSERT"],
        "approvals_keyrevocation": ["SELECT", "INSERT"],
    },
    "placet_gatekeeper": _READ
    | {
        "approvals_gate": ["SELECT", "INSERT", "UPDATE (status, closed_at, clears_at)"],
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
            "approvals_revocation",
            "approvals_key",
            "approvals_keyrevocation",
        )
    },
    "placet_auditor": _READ,
}
