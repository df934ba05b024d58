"""The audit of what people did: one entry a deed, in the transaction of the deed.

Entries are append-only; the database refuses everything else. Values never come here:
a detail names things (a path, a tool, a scope), it does not quote them.
"""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import connection
from django.http import HttpRequest

from console.models import DEFAULT_TENANT, User
from runs.models import new_id

MAX_ACTOR = 150
MAX_SUBJECT = 255
UNKNOWN_NAME = "unknown name"


def record(
    *,
    action: str,
    subject: str,
    person: User | None = None,
    actor: str = "",
    tenant: str = "",
    subject_id: object = "",
    detail: dict[str, Any] | None = None,
    request: HttpRequest | None = None,
) -> None:
    """Write one entry. Actor and tenant are the person's own unless they are given.

    By SQL, because Django would also write the columns that are the database's to fill in
    (when, and by which role), and no process has the right to write those.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO console_auditentry
                (id, tenant, actor, action, subject, subject_id, detail, address)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                new_id(),
                tenant or (person.tenant if person else DEFAULT_TENANT),
                _plain(actor or (person.get_username() if person else ""), MAX_ACTOR),
                action,
                _plain(subject, MAX_SUBJECT),
                str(subject_id),
                json.dumps(detail or {}),
                address_of(request),
            ],
        )


def address_of(request: HttpRequest | None) -> str | None:
    """The peer's address. Forwarding headers are not read: whoever calls can write them."""
    if request is None:
        return None
    try:
        return str(ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")))
    except ValueError:
        return None


def connect() -> None:
    user_logged_in.connect(_signed_in, dispatch_uid="console.audit.signed_in")
    user_login_failed.connect(_sign_in_failed, dispatch_uid="console.audit.sign_in_failed")
    user_logged_out.connect(_signed_out, dispatch_uid="console.audit.signed_out")


def _plain(text: str, limit: int) -> str:
    """Text as it may be stored and shown: what a stranger typed may hold anything."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:limit])


def _signed_in(*, user: User, request: HttpRequest | None = None, **_signal: Any) -> None:
    record(person=user, action="signed_in", subject="Session", request=request)


def _signed_out(
    *, user: User | None = None, request: HttpRequest | None = None, **_signal: Any
) -> None:
    if user is not None:
        record(person=user, action="signed_out", subject="Session", request=request)


def _sign_in_failed(
    *, credentials: dict[str, Any], request: HttpRequest | None = None, **_signal: Any
) -> None:
    """The name that was tried, where somebody has it, and nothing else of the credentials.

    Anything else that was typed is not kept: it may be a password, in the wrong field.
    """
    tried = _plain(str(credentials.get("username") or credentials.get("login") or ""), MAX_ACTOR)
    known = User.objects.filter(username=tried).only("username", "tenant").first()
    record(
        actor=known.username if known else UNKNOWN_NAME,
        tenant=known.tenant if known else DEFAULT_TENANT,
        action="sign_in_failed",
        subject="Session",
        request=request,
    )
