"""A terminal without a keyboard: what a command prints, or the sentence it ends with."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO

from django.core.management import call_command
from django.core.management.base import CommandError

from tests.harness import as_role


@dataclass(frozen=True)
class Said:
    out: str
    err: str = ""
    refusal: str = ""


def run(name: str, *arguments: str, role: str = "placet_web") -> Said:
    """Run `manage.py name arguments` with the rights of a process."""
    out, err = StringIO(), StringIO()
    try:
        with as_role(role):
            call_command(name, *arguments, stdout=out, stderr=err)
    except CommandError as error:
        return Said(out.getvalue(), err.getvalue(), str(error))
    return Said(out.getvalue(), err.getvalue())


def as_owner(name: str, *arguments: str) -> Said:
    return run(name, *arguments, role="placet_owner")
