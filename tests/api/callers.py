"""Builders for the tests of the API: tokens, sessions, and somebody who calls.

Every call is made with the database rights of the web process, `placet_web`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpResponse
from django.test import Client

from approvals.models import Batch, Decision, Gate
from console.models import ApiToken, AuditEntry, IdempotentRequest, User
from console.roles import set_roles
from console.tokens import SCOPES, create_token
from runs.models import Event, Run, Step
from tests.harness import PASSWORD, as_role

ABSENT = "0193d1a0-0000-7000-8000-000000000000"
STATE = (Run, Step, Event, Gate, Decision, Batch, AuditEntry, IdempotentRequest, ApiToken)


def make_person(username: str, *roles: str, tenant: str) -> User:
    with as_role("placet_owner"):
        person = User.objects.create_user(username=username, password=PASSWORD, tenant=tenant)
        set_roles(person, set(roles))
    return person


def make_token(person: User, *scopes: str) -> str:
    with as_role("placet_owner"):
        _token, plain = create_token(person, scopes or SCOPES, "test")
    return plain


@dataclass
class Caller:
    """Somebody at the API: the test client with the headers that they send."""

    headers: dict[str, str] = field(default_factory=dict)
    client: Client = field(
        default_factory=lambda: Client(SERVER_NAME="localhost", raise_request_exception=False)
    )

    def get(self, path: str, **query: Any) -> HttpResponse:
        with as_role("placet_web"):
            return self.client.get(f"/api/v1/{path}", query, headers=self.headers)

    def post(
        self, path: str, body: Any = None, *, method: str = "POST", **headers: str
    ) -> HttpResponse:
        """`body` is sent as JSON, or as it is when it is bytes."""
        raw = body if isinstance(body, bytes) else b"" if body is None else _dumps(body)
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        kind = sent.pop("Content-Type", "application/json")
        with as_role("placet_web"):
            return self.client.generic(
                method, f"/api/v1/{path}", raw, content_type=kind, headers=sent
            )

    def send(self, method: str, path: str, **headers: str) -> HttpResponse:
        with as_role("placet_web"):
            return self.client.generic(method, f"/api/v1/{path}", headers=self.headers | headers)


def by_token(plain: str) -> Caller:
    return Caller(headers={"Authorization": f"Bearer {plain}"})


def with_token(person: User, *scopes: str) -> Caller:
    """This person, with a new token of these scopes, or of all."""
    return by_token(make_token(person, *scopes))


def by_session(person: User) -> Caller:
    """Signed in to the console; the client checks CSRF, and no CSRF token is sent yet."""
    caller = Caller(
        client=Client(
            SERVER_NAME="localhost", raise_request_exception=False, enforce_csrf_checks=True
        )
    )
    with as_role("placet_web"):
        caller.client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return caller


def written() -> dict[str, int]:
    """How many rows there are of everything that a call might write."""
    return {kind.__name__: kind._default_manager.count() for kind in STATE}


def problem(response: HttpResponse) -> tuple[int, str]:
    """Status and word of a refusal, after a look at what every refusal must have."""
    assert response.headers["Content-Type"] == "application/problem+json", response.content
    body = json.loads(response.content)
    assert body["status"] == response.status_code
    assert body["detail"].endswith((".", "...")) and body["detail"][0].isupper(), body["detail"]
    assert body["title"]
    return response.status_code, body["type"].removeprefix("urn:placet:problem:")


def faults(response: HttpResponse) -> dict[str, str]:
    """What the refusal says of each field or parameter."""
    errors = json.loads(response.content).get("errors", [])
    return {error.get("pointer", error.get("parameter")): error["detail"] for error in errors}


def _dumps(body: Any) -> bytes:
    return json.dumps(body).encode()
