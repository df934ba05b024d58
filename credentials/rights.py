"""What each PostgreSQL role may do to the rows of this room; granted by `console.rights`.

The worker and the gatekeeper are not named: they have no business with secrets at all.
"""

from __future__ import annotations

GRANTS: dict[str, dict[str, list[str]]] = {
    "placet_web": {
        "credentials_secret": [
            "SELECT",
            "INSERT",
            "UPDATE(version, description, written_at, written_by_id)",
        ],
        "credentials_scope": ["SELECT", "INSERT", "DELETE"],
        "credentials_lease": ["SELECT"],
    },
    "placet_executor": {
        "credentials_secret": ["SELECT"],
        "credentials_scope": ["SELECT"],
        "credentials_lease": ["SELECT", "INSERT"],
    },
    "placet_auditor": {
        "credentials_secret": ["SELECT"],
        "credentials_scope": ["SELECT"],
        "credentials_lease": ["SELECT"],
    },
}

# Tables whose rows nobody may change or delete, the owner included.
APPEND_ONLY: list[str] = ["credentials_lease"]
