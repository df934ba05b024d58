"""What `manage.py doctor` looks at, as far as it needs no Django.

Each check gives findings: what was looked at, what is wrong with it (nothing when it is
well), and how to mend it.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import redis

from console.embedded.environments import HAS_VAULT_IDENTITY
from console.embedded.home import LATER_START_BYTES, Home
from console.embedded.ports import answers
from console.home import PROCESSES

START = "start Placet with `make up`, then ask again"
OLDEST_PYTHON = (3, 11)
PREPARE = "stop Placet, and run `make up` or `manage.py setup` again"
VAULT_VARIABLES = ("PLACET_VAULT_ROLE_ID", "PLACET_VAULT_SECRET_ID")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

Environments = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`wrong` is empty when all is well."""

    what: str
    wrong: str = ""
    mend: str = ""


def read_environments(home: Home) -> dict[str, dict[str, str]]:
    """What `make up` wrote for each process; empty when it cannot be read."""
    try:
        return dict(json.loads((home.path / "environment.json").read_text()))
    except (OSError, ValueError):
        return {}


def check_python() -> Iterator[Finding]:
    what = f"Python {platform.python_version()}"
    if sys.version_info < OLDEST_PYTHON:
        yield Finding(what=what, wrong="older than 3.11", mend="install Python 3.11 or newer")
    else:
        yield Finding(what=what)


def check_home(home: Home) -> Iterator[Finding]:
    what = f"home {home.path}"
    if not home.path.is_dir():
        yield Finding(what=what, wrong="is not there", mend="run `make up`, which makes it")
        return
    if not os.access(home.path, os.W_OK):
        yield Finding(what=what, wrong="cannot be written", mend=f"chown it to {_user()}")
    elif readable := list(_readable_by_others(home)):
        names = ", ".join(str(path.relative_to(home.path)) or "." for path in readable)
        yield Finding(
            what=what,
            wrong=f"others may read {names}",
            mend=f"chmod go= {' '.join(map(str, readable))}",
        )
    else:
        yield Finding(what=what)


def _readable_by_others(home: Home) -> Iterator[Path]:
    secret = [home.path, home.keys, home.path / "environment.json", home.path / "demo-password"]
    for path in [*secret, *(home.keys.iterdir() if home.keys.is_dir() else ())]:
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield path


def check_space(home: Home) -> Iterator[Finding]:
    if not home.path.is_dir():
        return
    free = shutil.disk_usage(home.path).free
    what = f"disk space ({free // 1_000_000} MB left)"
    if free < LATER_START_BYTES:
        yield Finding(what=what, wrong="is nearly used up", mend="free some space")
    else:
        yield Finding(what=what)


def check_environments(written: Environments) -> Iterator[Finding]:
    if not written:
        yield Finding(
            what="environment.json", wrong="is not there or cannot be read", mend="run `make up`"
        )
        return
    missing = [process for process in PROCESSES if process not in written]
    if missing:
        yield Finding(
            what="environment.json", wrong=f"says nothing for {', '.join(missing)}", mend=PREPARE
        )
        return
    yield Finding(what="environment.json")
    for process in PROCESSES:
        has_identity = any(written[process].get(name) for name in VAULT_VARIABLES)
        may_have_one = process in HAS_VAULT_IDENTITY
        if has_identity and not may_have_one:
            wrong = "has a vault identity, and must have none"
        elif may_have_one and not has_identity:
            wrong = "has no vault identity"
        else:
            continue
        yield Finding(what=f"keys of the {process}", wrong=wrong, mend=PREPARE)


def check_databases(written: Environments) -> Iterator[Finding]:
    """The database as each role, the auditor included."""
    urls = {f"placet_{p}": part.get("PLACET_DATABASE_URL", "") for p, part in written.items()}
    urls["placet_auditor"] = written.get("web", {}).get("PLACET_AUDITOR_DATABASE_URL", "")
    for role, url in urls.items():
        what = f"database as {role}"
        try:
            with psycopg.connect(url, connect_timeout=3) as connection:
                row = connection.execute("SELECT current_user").fetchone()
        except psycopg.Error as error:
            said = (str(error).strip().splitlines() or ["no answer"])[0].strip()
            mend = PREPARE if "authentication" in said else START
            yield Finding(what=what, wrong=f"cannot be reached: {said}", mend=mend)
            continue
        if row is None or row[0] != role:
            yield Finding(what=what, wrong=f"is another role, {row and row[0]}", mend=PREPARE)
        else:
            yield Finding(what=what)


def check_brokers(written: Environments) -> Iterator[Finding]:
    for name, what in (("PLACET_BROKER_URL", "broker"), ("PLACET_LIVE_URL", "live updates")):
        url = written.get("web", {}).get(name, "")
        wrong = _broker_trouble(url)
        yield Finding(what=what, wrong=wrong, mend=START if wrong else "")


def _broker_trouble(url: str) -> str:
    parts = urlsplit(url)
    if not parts.scheme.startswith("redis"):
        is_there = bool(parts.hostname) and answers(parts.port or 5672, parts.hostname or "")
        return "" if is_there else "cannot be reached"
    try:
        with redis.Redis.from_url(url, socket_timeout=3) as client:
            client.ping()
    except redis.RedisError as error:
        return f"cannot be reached: {error}"
    return ""


def check_vault(written: Environments) -> Iterator[Finding]:
    address = written.get("web", {}).get("PLACET_VAULT_ADDR", "")
    try:
        with httpx.Client(trust_env=False, timeout=5) as client:
            health = client.get(f"{address}/v1/sys/health", params={"standbyok": "true"}).json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        yield Finding(what="vault", wrong=f"cannot be reached: {error}", mend=START)
        return
    if health.get("sealed", True):
        yield Finding(what="vault", wrong="is sealed", mend="unseal it; `make up` unseals its own")
        return
    yield Finding(what="vault")
    yield from _check_identities(written, address)


def _check_identities(written: Environments, address: str) -> Iterator[Finding]:
    for process in HAS_VAULT_IDENTITY:
        role_id, secret_id = (written.get(process, {}).get(name, "") for name in VAULT_VARIABLES)
        login = {"role_id": role_id, "secret_id": secret_id}
        with httpx.Client(trust_env=False, timeout=5) as client:
            answer = client.post(f"{address}/v1/auth/approle/login", json=login)
        what = f"vault identity of the {process}"
        if answer.is_success:
            yield Finding(what=what)
        else:
            yield Finding(what=what, wrong="is not accepted", mend=PREPARE)


def check_browser() -> Iterator[Finding]:
    found = next(filter(None, map(shutil.which, BROWSERS)), "")
    if found:
        yield Finding(what=f"browser for the tests ({found})")
    else:
        yield Finding(
            what="browser for the tests",
            wrong="is not installed",
            mend="install the package chromium (only `make test` needs it)",
        )


def _user() -> str:
    return os.environ.get("USER") or f"user {os.geteuid()}"
