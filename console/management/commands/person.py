"""`manage.py person`: add people, and say what they may do. Runs as the owner."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import IntegrityError, transaction

from approvals.models import Reviewer
from console import audit
from console.management.people import new_password, person_named, table
from console.management.plain import PlainCommand
from console.models import DEFAULT_TENANT, User
from console.roles import ROLES, roles_of, set_roles

MAX_NAME_LENGTH = 63


class Command(PlainCommand):
    help = "Add people and set their roles and their groups of reviewers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser("add", help="add a person; the password is asked for")
        change = verbs.add_parser("set-role", help="give a person exactly these roles")
        add.add_argument("--tenant", default=DEFAULT_TENANT)
        for verb in (add, change):
            verb.add_argument("username")
            verb.add_argument("--roles", default="", help=f"out of {','.join(ROLES)}")
            verb.add_argument("--groups", default="", help="groups of reviewers, by name")
            verb.add_argument("--email", help="accounts of one address are one human")
        verbs.add_parser("list", help="people with their roles and groups")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        if verb == "list":
            self._list()
            return
        with transaction.atomic():
            if verb == "add":
                person = _add(options["username"], options["tenant"], options["email"] or "")
            else:
                person = person_named(options["username"])
                _set_email(person, options["email"])
            roles, groups = _names(options["roles"]), _names(options["groups"])
            try:
                set_roles(person, roles)
            except ValueError as error:
                raise CommandError(str(error)) from None
            _set_groups(person, groups)
            audit.record(
                actor="manage.py",
                tenant=person.tenant,
                action="person_added" if verb == "add" else "role_set",
                subject=person.username,
                subject_id=person.pk,
                detail={"roles": sorted(roles), "groups": sorted(groups)},
            )
        shown = ", ".join(sorted(roles)) or "no role"
        self.stdout.write(f"{person.username} of {person.tenant} has {shown}.")

    def _list(self) -> None:
        people = User.objects.order_by("tenant", "username").prefetch_related("groups")
        groups: dict[int, list[str]] = {}
        for reviewer in Reviewer.objects.order_by("group"):
            groups.setdefault(reviewer.person_id, []).append(reviewer.group)
        rows = [
            (
                person.username,
                person.tenant,
                ",".join(sorted(roles_of(person))) or "-",
                ",".join(groups.get(person.pk, [])) or "-",
                "yes" if person.is_active else "no",
            )
            for person in people
        ]
        heads = ("PERSON", "TENANT", "ROLES", "REVIEWS FOR", "ACTIVE")
        self.stdout.write(table(heads, rows) if rows else "There are no people.")


def _add(username: str, tenant: str, email: str) -> User:
    if not (0 < len(tenant) <= MAX_NAME_LENGTH and tenant.isascii() and tenant.isprintable()):
        raise CommandError(f"A tenant is 1 to {MAX_NAME_LENGTH} printable ASCII characters.")
    person = User(username=username, tenant=tenant, email=email)
    try:
        person.full_clean(exclude=["password"])
        password = new_password(username)
        validate_password(password, person)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from None
    person.set_password(password)
    try:
        person.save(force_insert=True)
    except IntegrityError:
        raise CommandError(f"There is already a person named {username!r}.") from None
    return person


def _set_email(person: User, email: str | None) -> None:
    """Another address, where one is given; an empty one takes it away."""
    if email is None:
        return
    person.email = email
    try:
        person.clean_fields(exclude=["password"])
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from None
    person.save(update_fields=["email"])


def _set_groups(person: User, groups: set[str]) -> None:
    for group in groups:
        if len(group) > MAX_NAME_LENGTH or not group.isprintable():
            raise CommandError(f"A group is 1 to {MAX_NAME_LENGTH} printable characters.")
    kept = Reviewer.objects.filter(tenant=person.tenant, person=person)
    kept.exclude(group__in=groups).delete()
    for group in groups:
        Reviewer.objects.get_or_create(tenant=person.tenant, group=group, person=person)


def _names(text: str) -> set[str]:
    return {name.strip() for name in text.split(",") if name.strip()}
