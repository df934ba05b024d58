"""`manage.py token`: make, list and revoke the API tokens of people."""

from __future__ import annotations

import uuid
from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.utils import timezone

from console import audit
from console.management.people import acting_for, person_named, plain, table
from console.management.plain import PlainCommand
from console.models import ApiToken
from console.tokens import SCOPES, UnknownScope, create_token, revoke_token

MAX_NAME_LENGTH = 128
MAX_EXPIRES_DAYS = 3650


class Command(PlainCommand):
    help = "Make, list and revoke API tokens."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="print a new token, once")
        create.add_argument("--user", required=True, help="the person whose token it is")
        create.add_argument("--scopes", required=True, help=f"out of {','.join(SCOPES)}")
        create.add_argument("--name", default="", help="what it is for")
        create.add_argument("--expires-days", type=int, help="days until it ends; else never")
        verbs.add_parser("list", help="all tokens, without their text")
        revoke = verbs.add_parser("revoke", help="end a token now")
        revoke.add_argument("id", help="as `token list` shows it")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        if verb == "create":
            self._create(options)
        elif verb == "revoke":
            self._revoke(options["id"])
        else:
            self._list()

    @transaction.atomic
    def _create(self, options: dict[str, Any]) -> None:
        person = person_named(options["user"])
        name = options["name"]
        if len(name) > MAX_NAME_LENGTH or plain(name) != name:
            raise CommandError(f"A name is up to {MAX_NAME_LENGTH} printable characters.")
        scopes = [scope.strip() for scope in options["scopes"].split(",") if scope.strip()]
        try:
            token, text = create_token(person, scopes, name, _expiry(options["expires_days"]))
        except UnknownScope as error:
            raise CommandError(str(error)) from None
        audit.record(
            person=person,
            actor=acting_for(person),
            action="token_created",
            subject=f"Token {token.name or token.id}",
            subject_id=token.id,
            detail={"scopes": token.scopes},
        )
        self.stdout.write(text)

    @transaction.atomic
    def _revoke(self, given: str) -> None:
        try:
            token = ApiToken.objects.select_related("person").get(id=uuid.UUID(given))
        except (ValueError, ApiToken.DoesNotExist):
            raise CommandError(f"There is no token {plain(given)!r}.") from None
        if not revoke_token(token):
            raise CommandError("The token was revoked before.")
        audit.record(
            person=token.person,
            actor=acting_for(token.person),
            action="token_revoked",
            subject=f"Token {token.name or token.id}",
            subject_id=token.id,
        )
        self.stdout.write(f"Token {token.id} of {token.person.username} is revoked.")

    def _list(self) -> None:
        tokens = ApiToken.objects.select_related("person").order_by("created_at", "id")
        rows = [
            (
                token.id,
                token.person.username,
                token.name or "-",
                ",".join(token.scopes),
                _state(token),
                _moment(token.last_used_at),
            )
            for token in tokens
        ]
        heads = ("ID", "PERSON", "NAME", "SCOPES", "STATE", "LAST USED")
        self.stdout.write(table(heads, rows) if rows else "There are no tokens.")


def _expiry(days: int | None) -> datetime | None:
    if days is None:
        return None
    if not 1 <= days <= MAX_EXPIRES_DAYS:
        raise CommandError(f"--expires-days is from 1 to {MAX_EXPIRES_DAYS}.")
    return timezone.now() + timedelta(days=days)


def _state(token: ApiToken) -> str:
    if token.revoked_at:
        return "revoked"
    if token.expires_at and token.expires_at <= timezone.now():
        return "expired"
    return f"until {token.expires_at:%Y-%m-%d}" if token.expires_at else "live"


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "never"
