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
    *("approvals_changevoice", "approvals_breakglass", "approvals_breakglassconfirmation"),
    "approvals_breakglassreview",
    "approvals_breakglassproof",
    *("approvals_notice", "approvals_comment"),
    "approvals_recap",
    "approvals_batch",
    "approvals_canary",
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
        "approvals_revocation",
        "approvals_viewing",
        "approvals_keyrequest",
        "approvals_key",
        "approvals_keyrevocation",
        "approvals_change",
        "approvals_changevoice",
        "approvals_freeze",
        "approvals_breakglass",
        "approvals_breakglassconfirmation",
        "approvals_breakglassreview",
        "approvals_breakglassproof",
        "approvals_delegation",
        "approvals_channel",
        "approvals_notice",
        "approvals_comment",
        "approvals_recap",
        "approvals_secondlook",
        "approvals_batch",
        "approvals_canary",
    )
}

GRANTS: Grants = {
    "placet_web": _READ
    | {
        "approvals_decision": [
            "SELECT",
            "INSERT (id, tenant, gate_id, person_id, on_behalf_of_id, verdict, reason, typed,"
            " digest, method, seal, key_id, client_data, authenticator_data, signature, decided_at,"
            " writer, batch_id)",
        ],
        "approvals_revocation": [
            "SELECT",
            "INSERT (decision_id, tenant, reason, seal, revoked_at, writer)",
        ],
        "approvals_viewing": ["SELECT", "INSERT (tenant, gate_id, person_id, since)"],
        "approvals_keyrequest": ["SELECT", "INSERT"],
        "approvals_keyrevocation": ["SELECT", "INSERT"],
        "approvals_change": ["SELECT", "INSERT"],
        "approvals_changevoice": ["SELECT", "INSERT"],
        "approvals_freeze": ["SELECT", "INSERT"],
        "approvals_breakglass": ["SELECT", "INSERT"],
        "approvals_breakglassconfirmation": ["SELECT", "INSERT"],
        "approvals_breakglassreview": ["SELECT", "INSERT"],
        "approvals_delegation": ["SELECT", "INSERT", "UPDATE (revoked_at)"],
        "approvals_comment": ["SELECT", "INSERT"],
        "approvals_recap": ["SELECT", "INSERT"],
        "approvals_batch": ["SELECT", "INSERT"],
        "approvals_secondlook": [
            "SELECT",
            "UPDATE (looked_by_id, verdict, note, seal, looked_at)",
        ],
        "approvals_channel": [
            "SELECT",
            "INSERT",
            "UPDATE (kinds, paused_at, removed_at, tested_at, tested_by_id)",
        ],
        "approvals_mute": ["SELECT", "INSERT", "DELETE"],
    },
    "placet_gatekeeper": _READ
    | {
        "approvals_gate": ["SELECT", "INSERT", "UPDATE (status, closed_at, clears_at)"],
        "approvals_clearance": ["SELECT", "INSERT"],
        "approvals_keyrequest": ["SELECT", "UPDATE (refused_because)"],
        "approvals_key": ["SELECT", "INSERT", "UPDATE (vouched_at)"],
        "approvals_change": ["SELECT", "UPDATE (status, error)"],
        "approvals_reviewer": ["SELECT", "INSERT", "DELETE"],
        "approvals_policy": ["SELECT", "INSERT", "UPDATE (retired_at)"],
        "approvals_freeze": ["SELECT", "INSERT", "UPDATE (lifted_at, lifted_by_id)"],
        "approvals_notice": ["SELECT", "INSERT"],
        "approvals_breakglassproof": ["SELECT", "INSERT"],
        "approvals_secondlook": ["SELECT", "INSERT"],
        "approvals_canary": ["SELECT", "INSERT"],
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
            "approvals_breakglass",
            "approvals_breakglassconfirmation",
            "approvals_channel",
            "approvals_notice",
            "approvals_canary",
        )
    },
    "placet_auditor": _READ,
}

FUNCTIONS = {
    "placet_web": [
        "approvals_frozen(text, text, text, text)",
        "approvals_is_member(approvals_gate, bigint)",
        "approvals_principal_of(approvals_gate, bigint)",
        "approvals_requested_before(uuid, bigint)",
        "approvals_fitting(uuid)",
        "approvals_asked(uuid)",
        "approvals_askable(text, uuid, jsonb)",
        "approvals_had_a_part(approvals_gate, bigint)",
    ],
    "placet_gatekeeper": [
        "approvals_fitting(uuid)",
        "approvals_resting(uuid)",
        "approvals_asked(uuid)",
        "approvals_askable(text, uuid, jsonb)",
        "approvals_frozen(text, text, text, text)",
        "approvals_change_voices(approvals_change)",
        "approvals_drawn(approvals_gate)",
    ],
    "placet_executor": ["approvals_fitting(uuid)", "approvals_resting(uuid)"],
}
"""What may be asked of the locks themselves, by name and arguments; all else is theirs alone."""
