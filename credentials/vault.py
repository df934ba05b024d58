"""The vault (OpenBao or HashiCorp Vault), and the only module that imports its client.

Two identities, neither of which can do the other's work: `SecretWriter` (the web process)
writes values and sees names, `SecretReader` (the executor) reads one value that it names.
The vault itself keeps them apart, by the policies that `bootstrap` writes. The worker and
the gatekeeper have no identity at all.

Only the raw request of the client is used. Its helpers read before they patch, fall back
to `~/.vault-token` when a token is empty, and put what was sent into their exceptions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import hvac
from django.conf import settings
from hvac.adapters import RawAdapter

from credentials.errors import (
    NoVaultIdentity,
    StaleWrite,
    VaultError,
    VaultForbidden,
    VaultNotFound,
    VaultSealed,
    VaultUnreachable,
)
from credentials.values import SecretText

MOUNT = "placet"
TIMEOUT_SECONDS = 5.0
TOKEN_SECONDS = 900

# A new login is made this much before a token ends, so that none ends on its way.
_TOKEN_MARGIN_SECONDS = 60
_MOUNT_READY_SECONDS = 10.0

# Answers of a vault that starts, hands over, or has too much to do.
_PASSING = frozenset({429, 472, 473, 500, 502, 503, 504})
_FINAL: dict[int, tuple[type[VaultError], str]] = {
    403: (VaultForbidden, "The vault refused this process: it may not do that on {where}."),
    404: (VaultNotFound, "The vault holds no value at {where}."),
}

POLICIES = {
    "web": f"""
path "{MOUNT}/data/*"     {{ capabilities = ["create", "update", "patch"] }}
path "{MOUNT}/metadata/*" {{ capabilities = ["read", "list"] }}
path "{MOUNT}/metadata"   {{ capabilities = ["list"] }}
path "{MOUNT}/subkeys/*"  {{ capabilities = ["read"] }}
""",
    "executor": f"""
path "{MOUNT}/data/*" {{ capabilities = ["read"] }}
""",
}


@dataclass(frozen=True, kw_only=True)
class SecretVersion:
    """One version of a secret as the vault gave it; its repr shows no value."""

    version: int
    fields: Mapping[str, SecretText] = field(repr=False)


class _Connection:
    """Requests to one vault, with its answers and its silences turned into our errors."""

    def __init__(self, addr: str) -> None:
        # An explicit token, because the client would otherwise look for one in the home.
        client = hvac.Client(
            url=addr,
            token="",
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
            adapter=RawAdapter,
        )
        # Neither a proxy nor a .netrc of the surroundings may see or add to these requests.
        client.session.trust_env = False
        self._adapter = client.adapter
        self._addr = addr

    def request(
        self, method: str, path: str, *, token: str = "", body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """One request below `/v1/`; gives the JSON object that came back, `{}` for none."""
        headers = {"X-Vault-Token": token} if token else {}
        if method == "patch":
            headers["Content-Type"] = "application/merge-patch+json"
        failure: VaultError
        try:
            answer = self._adapter.request(
                method, f"/v1/{path}", headers=headers, json=body, raise_exception=False
            )
            given = answer.json() if answer.content else {}
            if answer.status_code < 300 and isinstance(given, dict):
                return given
            failure = _failure(answer.status_code, given, path)
        except (OSError, ValueError):
            failure = VaultUnreachable(
                f"The vault at {self._addr} cannot be reached, or does not answer as a vault does."
            )
        raise failure from None


def _failure(status: int, given: Any, path: str) -> VaultError:
    """The error for an answer. Of what the vault said, only fixed phrases are looked for."""
    said = " ".join(str(e) for e in given.get("errors") or []) if isinstance(given, dict) else ""
    where = path.removeprefix(f"{MOUNT}/data/").removeprefix(f"{MOUNT}/subkeys/")
    if "check-and-set" in said:
        return StaleWrite("Somebody wrote a newer version of this secret in the meantime.")
    if status == 503 and "sealed" in said:
        return VaultSealed("The vault is sealed: it answers again once it was unsealed.")
    if status in _PASSING or "Upgrading" in said:
        return VaultUnreachable(f"The vault cannot answer at the moment (HTTP {status}).")
    kind, sentence = _FINAL.get(
        status, (VaultError, "The vault did not accept the request on {where} (HTTP {status}).")
    )
    return kind(sentence.format(where=where, status=status))


class Vault:
    """A session under one AppRole identity, which logs in by itself when it has to."""

    def __init__(self, *, addr: str, role_id: str, secret_id: str) -> None:
        if not (addr and role_id and secret_id):
            raise NoVaultIdentity(
                "This process has no identity in the vault (PLACET_VAULT_ADDR, "
                "PLACET_VAULT_ROLE_ID and PLACET_VAULT_SECRET_ID are needed)."
            )
        self._connection = _Connection(addr)
        self._role_id = role_id
        self._secret_id = SecretText(secret_id, "vault/secret_id")
        self._token = ""
        self._token_until = 0.0
        self._lock = threading.Lock()

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        token, is_new = self._current_token()
        try:
            return self._connection.request(method, path, token=token, body=body)
        except VaultForbidden:
            # A token that was revoked or that a restarted vault forgot looks just like a
            # missing right. A fresh one tells the two apart.
            if is_new:
                raise
        self._forget(token)
        token, _ = self._current_token()
        return self._connection.request(method, path, token=token, body=body)

    def _current_token(self) -> tuple[str, bool]:
        """The token, and whether it was made just now."""
        with self._lock:
            if self._token and time.monotonic() < self._token_until:
                return self._token, False
            asked_at = time.monotonic()
            auth = self._log_in()
            self._token = SecretText(auth["client_token"], "vault/token")
            seconds = int(auth["lease_duration"])
            self._token_until = asked_at + max(seconds - _TOKEN_MARGIN_SECONDS, seconds / 2)
            return self._token, True

    def _forget(self, token: str) -> None:
        with self._lock:
            if self._token == token:
                self._token = ""

    def _log_in(self) -> dict[str, Any]:
        body = {"role_id": self._role_id, "secret_id": self._secret_id}
        try:
            given = self._connection.request("post", "auth/approle/login", body=body)
        except (VaultSealed, VaultUnreachable):
            raise
        except VaultError:
            raise VaultForbidden(
                "The vault does not know the identity of this process: its role id or secret id "
                "was replaced."
            ) from None
        return dict(given["auth"])


class SecretWriter(Vault):
    """The web process: writes values, sees names and versions, reads no value."""

    def write(self, path: str, fields: Mapping[str, str], *, expected_version: int) -> int:
        """Write a new version if the newest is `expected_version` (0: none); gives its number.

        Raises StaleWrite if it is not. A field that is not named is gone in the new version.
        """
        body = {"data": dict(fields), "options": {"cas": expected_version}}
        given = self._request("post", f"{MOUNT}/data/{path}", body)
        return int(given["data"]["version"])

    def newest_version(self, path: str) -> int:
        """The number of the newest version, deleted ones included; 0 if there is none."""
        try:
            given = self._request("get", f"{MOUNT}/metadata/{path}")
        except VaultNotFound:
            return 0
        return int(given["data"]["current_version"])

    def field_names(self, path: str) -> list[str]:
        """The names of the fields of the newest version. Raises VaultNotFound."""
        given = self._request("get", f"{MOUNT}/subkeys/{path}")
        return sorted(given["data"]["subkeys"])


class SecretReader(Vault):
    """The executor: reads the newest version of one secret that it can name."""

    def read(self, path: str) -> SecretVersion:
        """The newest version. Raises VaultNotFound, also if that version was deleted."""
        given = self._request("get", f"{MOUNT}/data/{path}")["data"]
        reference = path.partition("/")[2]
        fields = {
            name: SecretText(str(value), f"{reference}/{name}")
            for name, value in given["data"].items()
        }
        return SecretVersion(version=int(given["metadata"]["version"]), fields=fields)


def writer() -> SecretWriter:
    """The session of the web process. Raises NoVaultIdentity in a process without one."""
    return _writer(*_identity())


def reader() -> SecretReader:
    """The session of the executor. Raises NoVaultIdentity in a process without one."""
    return _reader(*_identity())


def _identity() -> tuple[str, str, str]:
    return (
        settings.PLACET_VAULT_ADDR,
        settings.PLACET_VAULT_ROLE_ID,
        settings.PLACET_VAULT_SECRET_ID,
    )


@cache
def _writer(addr: str, role_id: str, secret_id: str) -> SecretWriter:
    return SecretWriter(addr=addr, role_id=role_id, secret_id=secret_id)


@cache
def _reader(addr: str, role_id: str, secret_id: str) -> SecretReader:
    return SecretReader(addr=addr, role_id=role_id, secret_id=secret_id)


Identity = dict[str, str]


def bootstrap(
    addr: str, root_token: str, kept: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, Identity]:
    """Prepare the vault at `addr` and give the identities of "web" and "executor".

    Each is `{"PLACET_VAULT_ROLE_ID": ..., "PLACET_VAULT_SECRET_ID": ...}`. `kept` is what an
    earlier call gave: a secret id in it that is still valid is given again, and otherwise a
    new one replaces all older ones of that role. Everything else is brought to one state
    however often this is called.
    """
    root = _Root(addr, root_token)
    root.ensure_mount()
    root.ensure_approle()
    return {
        name: root.ensure_identity(name, (kept or {}).get(name, {}).get("PLACET_VAULT_SECRET_ID"))
        for name in POLICIES
    }


class _Root:
    """The holder of the root token, for the length of a set-up."""

    def __init__(self, addr: str, token: str) -> None:
        self._connection = _Connection(addr)
        self._token = SecretText(token, "vault/root_token")

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return self._connection.request(method, path, token=self._token, body=body)

    def ensure_mount(self) -> None:
        mounts = self._request("get", "sys/mounts")["data"]
        mount = mounts.get(f"{MOUNT}/")
        if mount is None:
            body = {"type": "kv", "options": {"version": "2"}}
            self._request("post", f"sys/mounts/{MOUNT}", body)
        elif mount["type"] != "kv" or (mount["options"] or {}).get("version") != "2":
            raise VaultError(
                f"The vault has something else mounted at {MOUNT}/: a KV store of version 2 "
                "is needed there."
            )
        self._configure_mount()

    def _configure_mount(self) -> None:
        """A fresh mount needs a moment before it takes its configuration."""
        body = {"cas_required": True, "max_versions": 10, "delete_version_after": "0s"}
        deadline = time.monotonic() + _MOUNT_READY_SECONDS
        while True:
            try:
                self._request("post", f"{MOUNT}/config", body)
                return
            except VaultUnreachable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def ensure_approle(self) -> None:
        if "approle/" not in self._request("get", "sys/auth")["data"]:
            self._request("post", "sys/auth/approle", {"type": "approle"})

    def ensure_identity(self, name: str, kept_secret_id: str | None) -> Identity:
        role = f"placet-{name}"
        self._request("put", f"sys/policies/acl/{role}", {"policy": POLICIES[name]})
        # All fields are said, because a field left out would keep whatever value it had; all
        # but `local_secret_ids`, which a vault refuses to be told again.
        self._request(
            "post",
            f"auth/approle/role/{role}",
            {
                "bind_secret_id": True,
                "secret_id_bound_cidrs": [],
                "secret_id_num_uses": 0,
                "secret_id_ttl": 0,
                "token_bound_cidrs": [],
                "token_explicit_max_ttl": TOKEN_SECONDS,
                "token_max_ttl": TOKEN_SECONDS,
                "token_no_default_policy": True,
                "token_num_uses": 0,
                "token_period": 0,
                "token_policies": [role],
                "token_ttl": TOKEN_SECONDS,
                "token_type": "service",
            },
        )
        self._request("post", f"auth/approle/role/{role}/role-id", {"role_id": role})
        return {
            "PLACET_VAULT_ROLE_ID": role,
            "PLACET_VAULT_SECRET_ID": self._ensure_secret_id(role, kept_secret_id),
        }

    def _ensure_secret_id(self, role: str, kept: str | None) -> str:
        if kept and self._is_valid(role, kept):
            return kept
        # A secret id that nobody kept would be a key that nobody watches.
        for accessor in self._accessors(role):
            body = {"secret_id_accessor": accessor}
            self._request("post", f"auth/approle/role/{role}/secret-id-accessor/destroy", body)
        given = self._request("post", f"auth/approle/role/{role}/secret-id", {})
        return str(given["data"]["secret_id"])

    def _is_valid(self, role: str, secret_id: str) -> bool:
        path = f"auth/approle/role/{role}/secret-id/lookup"
        try:
            return bool(self._request("post", path, {"secret_id": secret_id}))
        except VaultNotFound:
            return False

    def _accessors(self, role: str) -> list[str]:
        try:
            given = self._request("list", f"auth/approle/role/{role}/secret-id")
        except VaultNotFound:
            return []
        return list(given["data"]["keys"])
