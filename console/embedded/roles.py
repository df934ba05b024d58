"""The PostgreSQL roles of the processes, their passwords, and the database of the owner.

What each role may do with tables is said by `console/rights.py`, after each migration.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from console.embedded.errors import CannotStart
from console.embedded.files import write_private

OWNER = "placet_owner"
ROLES = (
    OWNER,
    "placet_web",
    "placet_gatekeeper",
    "placet_worker",
    "placet_executor",
    "placet_auditor",
)


def keep_passwords(path: Path) -> dict[str, str]:
    """The password of each role, made on the first call; a role added later gets its own."""
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    passwords = {role: kept.get(role) or secrets.token_hex(24) for role in ROLES}
    if passwords != kept:
        write_private(path, json.dumps(passwords, indent=1))
    return passwords


def url_for(url: str, role: str, password: str, database: str | None = None) -> str:
    """The same server and database, entered as `role`."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    path = f"/{quote(database)}" if database else parts.path
    return urlunsplit(parts._replace(netloc=f"{role}:{quote(password)}@{place}", path=path))


def ensure_database(admin_url: str, name: str) -> None:
    with _connect(admin_url) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if found.fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def ensure_roles(admin_url: str, passwords: Mapping[str, str]) -> None:
    """Roles with these passwords, and the database of `admin_url` owned by the owner.

    `admin_url` names a role that may create roles. Raises CannotStart with what is missing.
    """
    database = unquote(urlsplit(admin_url).path.lstrip("/"))
    with _connect(admin_url) as connection:
        try:
            for role, password in passwords.items():
                _ensure_role(connection, role, password)
            _give_database(connection, database)
        except psycopg.errors.InsufficientPrivilege as error:
            raise CannotStart(
                f"The role in PLACET_DATABASE_URL may not prepare the database ({_first(error)}); "
                "name a role that may create roles and that owns the database."
            ) from error


def _ensure_role(connection: psycopg.Connection, role: str, password: str) -> None:
    name = sql.Identifier(role)
    found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    if found is None:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
    # The server is told a SCRAM verifier, so that no log of statements holds the password.
    verifier = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    )
    connection.execute(
        sql.SQL("ALTER ROLE {} LOGIN NOCREATEDB NOCREATEROLE PASSWORD {}").format(
            name, sql.Literal(verifier.decode())
        )
    )


def _give_database(connection: psycopg.Connection, database: str) -> None:
    name, owner = sql.Identifier(database), sql.Identifier(OWNER)
    if not _owns(connection, database):
        # Needed where the administrator is no superuser; harmless where it is one.
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(owner))
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, owner))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    for role in ROLES:
        connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, sql.Identifier(role))
        )


def _owns(connection: psycopg.Connection, database: str) -> bool:
    question = "SELECT pg_get_userbyid(datdba) = %s FROM pg_database WHERE datname = %s"
    row = connection.execute(question, [OWNER, database]).fetchone()
    return bool(row and row[0])


def _connect(url: str) -> psycopg.Connection:
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        parts = urlsplit(url)
        raise CannotStart(
            f"Cannot reach PostgreSQL at {parts.hostname}:{parts.port or 5432}{parts.path} "
            f"as {parts.username}: {_first(error)}."
        ) from error


def _first(error: psycopg.Error) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else type(error).__name__
