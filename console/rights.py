"""Grants, as one table for all rooms: what is not written here, no process may do.

Applied by the owner after each `migrate`: every right of a role is revoked, and those of
the table are granted, in one transaction. The guards' functions are renewed with them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db import connections, transaction

import approvals.locks
import approvals.rights
import credentials.rights
import runs.guards
import runs.rights
from console import guards

ROLES = ("placet_web", "placet_gatekeeper", "placet_worker", "placet_executor", "placet_auditor")
READ_WRITE = ["SELECT", "INSERT", "UPDATE", "DELETE"]
APPEND_ONLY = [
    *runs.rights.APPEND_ONLY,
    *approvals.rights.APPEND_ONLY,
    *credentials.rights.APPEND_ONLY,
    "console_auditentry",
]

_PEOPLE = "SELECT (id, username, first_name, last_name, tenant, is_active, date_joined, last_login)"
_MIGRATIONS = {"django_migrations": ["SELECT"]}
CONSOLE: runs.rights.Grants = {
    "placet_web": {
        "console_user": ["SELECT", "UPDATE (last_login)"],
        "console_user_groups": ["SELECT"],
        "console_user_user_permissions": ["SELECT"],
        "console_apitoken": ["SELECT", "UPDATE (last_used_at, revoked_at)"],
        "console_idempotentrequest": ["SELECT", "INSERT", "UPDATE (status, body)", "DELETE"],
        "console_auditentry": [
            "SELECT",
            "INSERT (id, tenant, actor, action, subject, subject_id, detail, address)",
        ],
        "auth_group": ["SELECT"],
        "auth_group_permissions": ["SELECT"],
        "auth_permission": ["SELECT"],
        "django_content_type": ["SELECT"],
        "django_session": READ_WRITE,
        "account_emailaddress": READ_WRITE,
        "account_emailconfirmation": READ_WRITE,
    },
    "placet_gatekeeper": {"console_user": [_PEOPLE]},
    # Whether the owner of a schedule is still active.
    "placet_worker": {"console_user": ["SELECT (id, is_active)"]},
    "placet_auditor": {
        "console_user": [_PEOPLE],
        "console_user_groups": ["SELECT"],
        "auth_group": ["SELECT"],
        "console_auditentry": ["SELECT"],
    },
}


def declared() -> dict[str, dict[str, list[str]]]:
    """The rights of all rooms: role -> table -> rights."""
    rights: dict[str, dict[str, list[str]]] = {role: dict(_MIGRATIONS) for role in ROLES}
    for room in (
        runs.rights.GRANTS,
        approvals.rights.GRANTS,
        credentials.rights.GRANTS,
        CONSOLE,
    ):
        for role, tables in room.items():
            merged = defaultdict(list, rights[role])
            for table, granted in tables.items():
                merged[table] = [*merged[table], *(g for g in granted if g not in merged[table])]
            rights[role] = dict(merged)
    return rights


def functions() -> str:
    """The guards' functions as this code has them, also for a database made by an older one."""
    return runs.guards.functions(
        runs.guards.SQL
        + runs.guards.SETTLEMENT_SQL
        + runs.guards.TALK_SQL
        + runs.guards.INERT
        + approvals.locks.FUNCTIONS
        + guards.SQL
    )


def apply(using: str = "default") -> None:
    """Makes the rights of the database those of the table. For the owner's role."""
    connection = connections[using]
    with transaction.atomic(using=using), connection.cursor() as cursor:
        cursor.execute(functions())
        cursor.execute("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC")
        cursor.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        for role, tables in declared().items():
            cursor.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")
            cursor.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
            _grant(cursor, role, tables)
            cursor.execute(f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM {role}")
            for function in approvals.rights.FUNCTIONS.get(role, ()):
                cursor.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {role}")


def _grant(cursor: Any, role: str, tables: dict[str, list[str]]) -> None:
    for table, rights in tables.items():
        cursor.execute(f'GRANT {", ".join(rights)} ON "{table}" TO {role}')
