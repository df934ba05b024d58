"""What commands share: the person in whose name they act, and proof that it is them."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Sequence

from django.contrib.auth import authenticate
from django.core.management.base import CommandError

from console.models import User

PASSWORD_VARIABLE = "PLACET_PASSWORD"


def person_named(username: str) -> User:
    """The active person of this name. Raises `CommandError`."""
    person = User.objects.filter(username=username, is_active=True).first()
    if person is None:
        raise CommandError(f"There is no active person named {username!r}.")
    return person


def acting_for(person: User) -> str:
    """Whom the audit names when nobody has proved to be the person."""
    return f"manage.py (for {person.get_username()})"


def prove(person: User) -> None:
    """Ask for the person's own password. Raises `CommandError` when it is not theirs.

    Whoever may run commands is not thereby the person in whose name they would act.
    """
    password = os.environ.get(PASSWORD_VARIABLE) or _ask(f"Password of {person.username}: ")
    if authenticate(username=person.username, password=password) != person:
        raise CommandError(f"That is not the password of {person.username}.")


def new_password(username: str) -> str:
    """A password for a new person, from the variable or typed twice."""
    password = os.environ.get(PASSWORD_VARIABLE)
    if password:
        return password
    password = _ask(f"Password for {username}: ")
    if password != _ask("Once more: "):
        raise CommandError("The two passwords differ.")
    return password


def confirm(question: str) -> None:
    """Ask for a plain yes. Raises `CommandError` for everything else."""
    if not sys.stdin.isatty():
        raise CommandError("There is nobody to ask for confirmation; say --yes to confirm.")
    if input(f"{question} Type yes to confirm: ").strip().lower() != "yes":
        raise CommandError("Not confirmed; nothing was done.")


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Aligned columns for a terminal."""
    lines = [[plain(str(cell)) for cell in row] for row in (heads, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def plain(text: str) -> str:
    """Text that cannot steer the terminal: a payee is written by strangers."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise CommandError(
            f"There is nobody to ask for the password; set {PASSWORD_VARIABLE} instead."
        )
    return getpass.getpass(prompt)
