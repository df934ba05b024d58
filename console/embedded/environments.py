"""What each process is told, and nothing that another one is told.

A process starts with exactly its part: an allow-list of the surroundings (so that no key
of the person's shell reaches code that agents wrote) and its own credentials.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from console.embedded.servers import Servers
from console.home import PROCESSES

Environment = dict[str, str]

# Settings that carry no credential and may come from the shell of whoever starts Placet.
OPEN_SETTINGS = (
    "PLACET_ALLOWED_HOSTS",
    "PLACET_CLAIM_SECONDS",
    "PLACET_DEMO",
    "PLACET_DEMO_INVOICES",
    "PLACET_HOST",
    "PLACET_ORIGINS",
    "PLACET_PORT",
    "PLACET_SWEEP_SECONDS",
    "PLACET_RUNS_AT_ONCE",
    "PLACET_TLS",
    "PLACET_TRACE_URL",
    "PLACET_TRUSTED_ORIGINS",
    "PLACET_URL",
    "PLACET_WORKFLOWS",
)
SURROUNDINGS = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "PYTHONPATH", "SSL_CERT_FILE")
SURROUNDING_PREFIXES = ("LC_", "OTEL_")
HAS_VAULT_IDENTITY = ("web", "executor")
HAS_SEAL_KEY = ("web", "owner")
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


def environments(servers: Servers, bank_url: str = "") -> dict[str, Environment]:
    """For each process the variables that `environment.json` keeps for it."""
    identities = servers.vault_identities()
    open_settings = _open_settings()
    written = {}
    for process in PROCESSES:
        variables = open_settings | _servers_of(process, servers)
        if process in HAS_VAULT_IDENTITY:
            variables |= identities.get(process, {})
        if process in HAS_SEAL_KEY:
            variables["PLACET_SEAL_KEY"] = servers.home.secret("seal-key")
        if bank_url:
            variables["PLACET_DEMO_BANK_URL"] = bank_url
        written[process] = variables
    return written


def _servers_of(process: str, servers: Servers) -> Environment:
    variables = {
        "PLACET_DATABASE_URL": servers.database_url(f"placet_{process}"),
        "PLACET_BROKER_URL": servers.broker_url,
        "PLACET_LIVE_URL": servers.live_url,
        # Sessions and forms are the web's; the others get a key of their own, which opens nothing.
        "PLACET_SECRET_KEY": servers.home.secret(f"secret-key-{process}"),
    }
    if process in (*HAS_VAULT_IDENTITY, "owner"):
        variables["PLACET_VAULT_ADDR"] = servers.vault_addr
    if process in ("web", "owner"):
        variables["PLACET_AUDITOR_DATABASE_URL"] = servers.database_url("placet_auditor")
    return variables


def _open_settings() -> Environment:
    given = {name: os.environ[name] for name in OPEN_SETTINGS if os.environ.get(name)}
    host = given.get("PLACET_HOST", "")
    if host and host not in LOOPBACK_HOSTS:
        allowed = given.get("PLACET_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
        shown = f"[{host}]" if ":" in host else host
        given["PLACET_ALLOWED_HOSTS"] = ",".join(dict.fromkeys([*allowed, shown]))
    return given


def surroundings(home: Path, process: str, mark: Mapping[str, str]) -> Environment:
    """What a process gets besides its part of `environment.json`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in SURROUNDINGS or name.startswith(SURROUNDING_PREFIXES)
    }
    return {
        **kept,
        "PYTHONUNBUFFERED": "1",
        "PLACET_HOME": str(home),
        "PLACET_PROCESS": process,
        **mark,
    }
