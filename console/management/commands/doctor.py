"""Say what is wrong with this Placet, and how to mend it."""

from __future__ import annotations

import hmac
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand
from django.db.migrations.loader import MigrationLoader

from console import declarations, rights
from console.embedded import checks
from console.embedded.checks import PREPARE, Environments, Finding
from console.embedded.home import Home
from console.home import home

Right = tuple[str, str, str, str]  # Role, table, column ("" for all of them), verb.
GRANTED = """
    SELECT grantee::regrole::text, relname::text, '', privilege_type
    FROM pg_class, aclexplode(relacl)
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
      AND grantee <> 0 AND grantee::regrole::text = ANY (%s)
    UNION ALL
    SELECT grantee::regrole::text, relname::text, attname::text, privilege_type
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid, aclexplode(attacl)
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
      AND grantee <> 0 AND grantee::regrole::text = ANY (%s)
"""


class Command(BaseCommand):
    help = "Says what is wrong with this Placet and how to mend it; exit code 1 when anything is."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        is_well = True
        for finding in findings():
            if finding.wrong:
                is_well = False
                line = f"wrong  {finding.what}: {finding.wrong} -> {finding.mend}"
            else:
                line = f"ok     {finding.what}"
            self.stdout.write(line)
        if not is_well:
            sys.exit(1)


def findings() -> Iterator[Finding]:
    place = Home(home())
    written = checks.read_environments(place)
    yield from checks.check_python()
    yield from checks.check_home(place)
    yield from checks.check_space(place)
    yield from checks.check_environments(written)
    if written:
        yield from checks.check_brokers(written)
        yield from checks.check_vault(written)
        yield from checks.check_databases(written)
        yield from check_as_owner(written)
    yield from check_workflows()
    yield from checks.check_browser()


def check_as_owner(written: Environments) -> Iterator[Finding]:
    owner = written.get("owner", {})
    try:
        connection = psycopg.connect(owner.get("PLACET_DATABASE_URL", ""), connect_timeout=3)
    except psycopg.Error:
        return  # Said already, for each role.
    with connection:
        try:
            yield check_migrations(connection)
            yield check_seal_key(connection, owner.get("PLACET_SEAL_KEY", ""))
            yield check_rights(connection)
        except psycopg.errors.UndefinedTable:
            yield Finding(what="tables", wrong="are not there", mend=PREPARE)


def check_migrations(connection: psycopg.Connection) -> Finding:
    applied = set(connection.execute("SELECT app, name FROM django_migrations").fetchall())
    known = set(MigrationLoader(None).disk_migrations)
    if pending := sorted(known - applied):
        names = ", ".join(".".join(name) for name in pending)
        return Finding(what="migrations", wrong=f"not applied: {names}", mend=PREPARE)
    return Finding(what="migrations")


def check_seal_key(connection: psycopg.Connection, expected: str) -> Finding:
    """The web seals decisions with the key by which the database checks them."""
    row = connection.execute("SELECT key FROM approvals_sealkey").fetchone()
    if row is None or not hmac.compare_digest(bytes(row[0]).hex(), expected):
        return Finding(what="seal key", wrong="is not the one in the database", mend=PREPARE)
    return Finding(what="seal key")


def check_rights(connection: psycopg.Connection) -> Finding:
    """Grants made by hand, and grants that are missing."""
    declared = set(_declared_rights())
    granted = set(connection.execute(GRANTED, [list(rights.ROLES)] * 2).fetchall())
    trouble = [
        *(f"{_in_words(right)} is not granted" for right in sorted(declared - granted)),
        *(f"{_in_words(right)} is granted by hand" for right in sorted(granted - declared)),
    ]
    if trouble:
        more = f", and {len(trouble) - 3} more" if len(trouble) > 3 else ""
        return Finding(what="rights", wrong="; ".join(trouble[:3]) + more, mend=PREPARE)
    return Finding(what="rights")


def _declared_rights() -> Iterator[Right]:
    for role, tables in rights.declared().items():
        for table, entries in tables.items():
            for entry in entries:
                verb, _, columns = entry.partition("(")
                for column in columns.rstrip(")").split(","):
                    yield role, table, column.strip(), verb.strip()


def _in_words(right: Right) -> str:
    role, table, column, verb = right
    return f"{verb} on {table}{f'({column})' if column else ''} to {role}"


def check_workflows() -> Iterator[Finding]:
    try:
        declarations.read()
    except ImproperlyConfigured as error:
        yield Finding(
            what="workflows",
            wrong=str(error),
            mend="correct PLACET_WORKFLOWS or the module that it names",
        )
    else:
        yield Finding(what="workflows")
