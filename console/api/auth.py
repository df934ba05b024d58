"""Who calls: a token's person, or the person of a session; and whether they have the right.

A token is never also a session: with an Authorization header the cookie is not looked at.
A session must show the CSRF token for everything but reading.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from console import access
from console.api.problems import Problem
from console.api.strict import check_content_type
from console.models import ApiToken, User
from console.tokens import SCOPES, find_token, note_use, opens

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="placet"'}


@dataclass(frozen=True, kw_only=True)
class Caller:
    person: User
    token: ApiToken | None = None


class ApiRequest(HttpRequest):
    """A request that has come through `door`."""

    auth: Caller


class BearerToken(HttpBearer):
    """`Authorization: Bearer placet_...`, with the scope that the call names."""

    def __init__(self, right: str) -> None:
        super().__init__()
        self.right = right

    def __call__(self, request: HttpRequest) -> Caller | None:
        header = request.headers.get("Authorization")
        if header is None:
            return None
        scheme, _, plain = header.partition(" ")
        if scheme.lower() != "bearer":
            raise unauthenticated()
        return self.authenticate(request, plain.strip())

    def authenticate(self, request: HttpRequest, token: str) -> Caller:
        found = find_token(token)
        if found is None:
            raise unauthenticated("The token is unknown, expired or revoked.")
        note_use(found)
        if not opens(found, self.right):
            raise Problem(
                403,
                "missing-scope",
                f"The token does not have the scope {_scope_for(self.right)}.",
            )
        access.require(found.person, self.right)
        return Caller(person=found.person, token=found)


class SessionCookie(APIKeyCookie):
    """The session of a person who has signed in to the console."""

    param_name = settings.SESSION_COOKIE_NAME

    def __init__(self, right: str) -> None:
        super().__init__()
        self.right = right

    def __call__(self, request: HttpRequest) -> Caller | None:
        # A form body must not be parsed in search of the CSRF token: it would be consumed.
        if request.method == "POST":
            check_content_type(request)
        return self.authenticate(request, None)

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        person = request.user
        if not isinstance(person, User):
            return None
        if check_csrf(request) is not None:
            raise Problem(
                403, "csrf", "A call by session needs the CSRF token in the header X-CSRFToken."
            )
        access.require(person, self.right)
        return Caller(person=person)


def door(right: str) -> list[Callable[[HttpRequest], Any]]:
    """What stands before a call that needs this right."""
    return [BearerToken(right), SessionCookie(right)]


def unauthenticated(
    detail: str = "The call needs a bearer token or the session of a person.",
) -> Problem:
    return Problem(401, "unauthenticated", detail, headers=CHALLENGE)


def _scope_for(right: str) -> str:
    return next(scope for scope, rights in SCOPES.items() if right in rights)
