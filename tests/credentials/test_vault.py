"""The vault itself keeps the identities apart: real OpenBao, no help from our code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from credentials.errors import (
    NoVaultIdentity,
    StaleWrite,
    VaultError,
    VaultForbidden,
    VaultNotFound,
    VaultSealed,
    VaultUnreachable,
)
from credentials.vault import POLICIES, SecretReader, SecretWriter, bootstrap
from tests.servers import Servers

CANARY = "sk_canary_vault_71"


class Door:
    """Raw requests under one identity, so that a refusal is the vault's own."""

    def __init__(self, address: str, identity: dict[str, str]) -> None:
        self.address = address
        login = httpx.post(
            f"{address}/v1/auth/approle/login",
            json={
                "role_id": identity["PLACET_VAULT_ROLE_ID"],
                "secret_id": identity["PLACET_VAULT_SECRET_ID"],
            },
        )
        self.token = login.json()["auth"]["client_token"]

    def ask(self, method: str, path: str, body: object = None) -> int:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        return httpx.request(
            method,
            f"{self.address}/v1/{path}",
            content=None if body is None else json.dumps(body),
            headers={"X-Vault-Token": self.token, "Content-Type": kind},
        ).status_code


def identity(servers: Servers, process: str) -> dict[str, str]:
    environment = servers.environment(process)
    return {name: environment[name] for name in ("PLACET_VAULT_ROLE_ID", "PLACET_VAULT_SECRET_ID")}


@pytest.fixture
def writer(servers: Servers) -> SecretWriter:
    given = identity(servers, "web")
    return SecretWriter(
        addr=servers.vault.address,
        role_id=given["PLACET_VAULT_ROLE_ID"],
        secret_id=given["PLACET_VAULT_SECRET_ID"],
    )


@pytest.fixture
def reader(servers: Servers) -> SecretReader:
    given = identity(servers, "executor")
    return SecretReader(
        addr=servers.vault.address,
        role_id=given["PLACET_VAULT_ROLE_ID"],
        secret_id=given["PLACET_VAULT_SECRET_ID"],
    )


@pytest.fixture
def path(writer: SecretWriter) -> str:
    path = f"main/tests/{uuid4().hex}"
    writer.write(path, {"api_key": CANARY, "user": "placet-bank"}, expected_version=0)
    return path


# What is asked, what each identity is answered. PATH stands for a secret that exists.
RIGHTS: list[tuple[str, str, object, int, int]] = [
    ("GET", "placet/data/PATH", None, 403, 200),
    ("GET", "placet/data/PATH?version=1", None, 403, 200),
    ("GET", "placet/subkeys/PATH", None, 200, 403),
    ("GET", "placet/metadata/PATH", None, 200, 403),
    ("LIST", "placet/metadata/main/tests", None, 200, 403),
    ("LIST", "placet/metadata", None, 200, 403),
    ("POST", "placet/data/PATH", {"data": {"a": "b"}, "options": {"cas": 1}}, 200, 403),
    ("PATCH", "placet/data/PATH", {"data": {"a": "c"}, "options": {"cas": 2}}, 200, 403),
    ("POST", "placet/data/PATH", {"data": {"a": "b"}}, 400, 403),
    ("DELETE", "placet/data/PATH", None, 403, 403),
    ("POST", "placet/delete/PATH", {"versions": [1]}, 403, 403),
    ("POST", "placet/undelete/PATH", {"versions": [1]}, 403, 403),
    ("POST", "placet/destroy/PATH", {"versions": [1]}, 403, 403),
    ("POST", "placet/metadata/PATH", {"max_versions": 1}, 403, 403),
    ("DELETE", "placet/metadata/PATH", None, 403, 403),
    ("POST", "placet/config", {"cas_required": False}, 403, 403),
    ("GET", "placet/config", None, 403, 403),
    ("GET", "sys/mounts", None, 403, 403),
    ("GET", "sys/policies/acl/placet-web", None, 403, 403),
    ("POST", "auth/token/create", {}, 403, 403),
    ("GET", "auth/token/lookup-self", None, 403, 403),
    ("POST", "auth/approle/role/placet-executor/secret-id", {}, 403, 403),
    ("POST", "sys/wrapping/wrap", {"a": "b"}, 403, 403),
]


def test_each_identity_may_do_its_own_work_and_nothing_else(servers: Servers, path: str) -> None:
    web = Door(servers.vault.address, identity(servers, "web"))
    executor = Door(servers.vault.address, identity(servers, "executor"))
    answers = [
        (method, place, body, web.ask(method, at, body), executor.ask(method, at, body))
        for method, place, body, *_ in RIGHTS
        for at in [place.replace("PATH", path)]
    ]
    assert answers == RIGHTS


@pytest.mark.parametrize("process", ["worker", "gatekeeper"])
def test_worker_and_gatekeeper_are_told_nothing_of_the_vault(
    servers: Servers, process: str
) -> None:
    assert not [name for name in servers.environment(process) if "VAULT" in name]
    assert process not in POLICIES


def test_a_process_without_an_identity_has_no_session() -> None:
    with pytest.raises(NoVaultIdentity, match="This process has no identity in the vault"):
        SecretReader(addr="http://127.0.0.1:1", role_id="", secret_id="")


def test_what_web_writes_the_executor_reads(
    writer: SecretWriter, reader: SecretReader, path: str
) -> None:
    assert writer.newest_version(path) == 1
    assert writer.field_names(path) == ["api_key", "user"]
    found = reader.read(path)
    assert (found.version, found.fields) == (1, {"api_key": CANARY, "user": "placet-bank"})
    assert CANARY not in repr(found) + repr(dict(found.fields))


def test_a_stale_write_is_refused_and_changes_nothing(
    writer: SecretWriter, reader: SecretReader, path: str
) -> None:
    writer.write(path, {"api_key": "second-value"}, expected_version=1)
    with pytest.raises(StaleWrite, match="Somebody wrote a newer version"):
        writer.write(path, {"api_key": "third-value"}, expected_version=1)
    found = reader.read(path)
    assert (found.version, dict(found.fields)) == (2, {"api_key": "second-value"})


def test_no_error_carries_the_value(writer: SecretWriter, path: str) -> None:
    with pytest.raises(StaleWrite) as stale:
        writer.write(path, {"api_key": CANARY}, expected_version=7)
    error: BaseException | None = stale.value
    while error is not None:
        assert CANARY not in f"{error!r} {error} {vars(error)}"
        error = error.__cause__ or error.__context__


def test_the_logs_of_the_vault_hold_no_value(
    servers: Servers, reader: SecretReader, path: str
) -> None:
    reader.read(path)
    audit = (servers.home / "vault" / "audit.log").read_text()
    assert path in audit
    assert CANARY not in audit + servers.vault.log.read_text()


def test_a_secret_that_is_not_there_says_so(writer: SecretWriter, reader: SecretReader) -> None:
    assert writer.newest_version("main/none") == 0
    for ask in (reader.read, writer.field_names):
        with pytest.raises(VaultNotFound, match="The vault holds no value at main/none"):
            ask("main/none")


def test_a_deleted_version_is_no_value(servers: Servers, reader: SecretReader, path: str) -> None:
    httpx.delete(
        f"{servers.vault.address}/v1/placet/data/{path}",
        headers={"X-Vault-Token": servers.vault.root_token},
    ).raise_for_status()
    with pytest.raises(VaultNotFound, match="The vault holds no value"):
        reader.read(path)


def test_a_revoked_token_is_replaced_by_a_new_login(
    servers: Servers, reader: SecretReader, path: str
) -> None:
    reader.read(path)
    httpx.post(
        f"{servers.vault.address}/v1/auth/token/revoke",
        json={"token": str(reader._token)},
        headers={"X-Vault-Token": servers.vault.root_token},
    ).raise_for_status()
    assert reader.read(path).version == 1


def test_a_forbidden_request_is_tried_once_more_and_no_oftener(
    writer: SecretWriter, path: str
) -> None:
    with pytest.raises(VaultForbidden, match="The vault refused this process"):
        writer._request("get", f"placet/data/{path}")


def test_a_vault_that_does_not_answer_is_said_to_be_unreachable() -> None:
    session = SecretReader(addr="http://127.0.0.1:1", role_id="a", secret_id="b")
    with pytest.raises(VaultUnreachable, match="cannot be reached"):
        session.read("main/x")


def test_an_unknown_identity_is_refused(servers: Servers) -> None:
    session = SecretReader(addr=servers.vault.address, role_id="placet-executor", secret_id="b")
    with pytest.raises(VaultForbidden, match="does not know the identity of this process"):
        session.read("main/x")


def test_secrets_and_identities_survive_a_kill_of_the_vault(
    servers: Servers, writer: SecretWriter, reader: SecretReader, path: str
) -> None:
    reader.read(path)
    servers.vault.kill()
    with pytest.raises(VaultUnreachable):
        reader.read(path)
    servers.vault.start()
    assert reader.read(path).fields["api_key"] == CANARY
    assert writer.write(path, {"api_key": "after-the-kill"}, expected_version=1) == 2


@pytest.fixture
def sealed(servers: Servers) -> Iterator[None]:
    httpx.put(
        f"{servers.vault.address}/v1/sys/seal",
        headers={"X-Vault-Token": servers.vault.root_token},
    ).raise_for_status()
    yield
    servers.vault.stop()
    servers.vault.start()


def test_a_sealed_vault_says_that_it_is_sealed(sealed: None, reader: SecretReader) -> None:
    with pytest.raises(VaultSealed, match="The vault is sealed"):
        reader.read("main/x")


def test_bootstrap_repeated_keeps_what_is_valid_and_replaces_what_is_not(
    servers: Servers, path: str, reader: SecretReader
) -> None:
    kept = {name: identity(servers, name) for name in ("web", "executor")}
    address, root = servers.vault.address, servers.vault.root_token
    assert bootstrap(address, root, kept) == kept
    lost = kept | {"web": {"PLACET_VAULT_SECRET_ID": "no-longer-valid"}}
    again = bootstrap(address, root, lost)
    try:
        assert again["executor"] == kept["executor"]
        assert again["web"] != kept["web"]
        with pytest.raises(KeyError):
            Door(address, kept["web"])
        assert Door(address, again["web"]).ask("GET", f"placet/metadata/{path}") == 200
        assert reader.read(path).version == 1
    finally:
        restore_web(servers, kept["web"])


def restore_web(servers: Servers, kept: dict[str, str]) -> None:
    """The other tests go on with the identity that they were started with."""
    httpx.post(
        f"{servers.vault.address}/v1/auth/approle/role/placet-web/custom-secret-id",
        json={"secret_id": kept["PLACET_VAULT_SECRET_ID"]},
        headers={"X-Vault-Token": servers.vault.root_token},
    ).raise_for_status()


def test_bootstrap_repairs_a_role_that_somebody_widened(servers: Servers, path: str) -> None:
    address, root = servers.vault.address, servers.vault.root_token
    httpx.post(
        f"{address}/v1/auth/approle/role/placet-web",
        json={"token_policies": ["root"], "token_num_uses": 3},
        headers={"X-Vault-Token": root},
    ).raise_for_status()
    kept = {name: identity(servers, name) for name in ("web", "executor")}
    bootstrap(address, root, kept)
    assert Door(address, kept["web"]).ask("GET", f"placet/data/{path}") == 403


def test_bootstrap_does_not_take_over_a_mount_of_another_kind(servers: Servers) -> None:
    address, root = servers.vault.address, servers.vault.root_token
    headers = {"X-Vault-Token": root}
    moved = {"from": "placet", "to": "placet-aside"}
    remount(address, headers, moved)
    try:
        httpx.post(
            f"{address}/v1/sys/mounts/placet", json={"type": "kv"}, headers=headers
        ).raise_for_status()
        with pytest.raises(VaultError, match="something else mounted at placet/"):
            bootstrap(address, root)
    finally:
        httpx.delete(f"{address}/v1/sys/mounts/placet", headers=headers).raise_for_status()
        remount(address, headers, {"from": "placet-aside", "to": "placet"})


def remount(address: str, headers: dict[str, str], places: dict[str, str]) -> None:
    started = httpx.post(f"{address}/v1/sys/remount", json=places, headers=headers)
    started.raise_for_status()
    migration = started.json()["migration_id"]
    for _ in range(100):
        status = httpx.get(f"{address}/v1/sys/remount/status/{migration}", headers=headers).json()
        if status["data"]["migration_info"]["status"] == "success":
            return
    raise AssertionError("the mount was not moved in time")
