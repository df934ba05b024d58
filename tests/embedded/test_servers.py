"""The embedded servers: private, on loopback, and keeping what they were given."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psycopg
import pytest
import redis

from console.embedded.environments import OPEN_SETTINGS
from console.embedded.errors import CannotStart
from console.embedded.home import Home
from console.embedded.named import Named
from console.embedded.servers import Servers as Embedded
from console.home import BASE_DIR, PROCESSES
from tests import servers
from tests.servers import Servers

ROLES = ("owner", "web", "gatekeeper", "worker", "executor", "auditor")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    started = servers.start(tmp_path_factory.mktemp("servers") / "home")
    yield started
    started.stop()


def vault(running: Servers) -> httpx.Client:
    return httpx.Client(
        base_url=f"{running.vault.address}/v1/",
        headers={"X-Vault-Token": running.vault.root_token},
        trust_env=False,
        timeout=30,
    )


def test_every_file_of_the_home_is_private(running: Servers) -> None:
    assert stat.S_IMODE(running.home.stat().st_mode) == 0o700
    files = [running.home / "environment.json", *(running.home / "keys").iterdir()]
    assert len(files) > 8
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    logs = list((running.home / "logs").iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in logs} == {0o600}


def test_each_process_enters_the_database_as_its_own_role(running: Servers) -> None:
    for role in ROLES:
        with psycopg.connect(running.database_url(f"placet_{role}")) as connection:
            row = connection.execute(
                "SELECT current_user, rolsuper, rolcreaterole FROM pg_roles "
                "WHERE rolname = current_user"
            ).fetchone()
        assert row == (f"placet_{role}", False, False)


def test_the_database_belongs_to_the_owner_and_others_make_no_tables(running: Servers) -> None:
    with psycopg.connect(running.database_url("placet_owner")) as connection:
        connection.execute("CREATE TABLE allowed (); DROP TABLE allowed")
    with psycopg.connect(running.database_url("placet_worker")) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE refused ()")


def test_a_wrong_password_is_refused(running: Servers) -> None:
    url = running.database_url("placet_worker").replace("placet_worker:", "placet_worker:x")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)


def test_postgresql_keeps_what_it_confirmed(running: Servers) -> None:
    with psycopg.connect(running.admin_url, autocommit=True) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)
        connection.execute("CREATE TABLE kept AS SELECT 1 AS answer")
    running.postgres.kill()
    running.postgres.start()
    with psycopg.connect(running.admin_url) as connection:
        assert connection.execute("TABLE kept").fetchone() == (1,)


def test_valkey_asks_for_its_password(running: Servers) -> None:
    with redis.Redis(host="127.0.0.1", port=running.valkey.port) as client:
        with pytest.raises(redis.AuthenticationError):
            client.ping()


def test_valkey_forgets_all_when_it_stops_and_comes_back_on_its_port(running: Servers) -> None:
    port = running.valkey.port
    with redis.Redis.from_url(running.valkey.url(0)) as client:
        client.set("hint", "1")
    running.valkey.stop()
    running.valkey.start()
    with redis.Redis.from_url(running.valkey.url(0)) as client:
        assert client.dbsize() == 0
    assert running.valkey.port == port


def test_secrets_survive_a_restart_of_the_vault_which_opens_itself(running: Servers) -> None:
    with vault(running) as client:
        body = {"data": {"api_key": "not-a-real-key"}, "options": {"cas": 0}}
        client.post("placet/data/main/kept", json=body).raise_for_status()
    running.vault.kill()
    running.vault.start()
    with vault(running) as client:
        answer = client.get("placet/data/main/kept").json()
    assert answer["data"]["data"] == {"api_key": "not-a-real-key"}


def test_a_first_start_that_is_cut_short_at_any_moment_is_made_good(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = servers.start(home)
    first.stop()
    # As if it had ended after the vault was initialised and before its token was kept, ...
    (home / "keys" / "vault-root-token").unlink()
    (home / "keys" / "vault-identities.json").unlink()
    # ... and while the cluster was being made.
    (home / "postgres" / "data").rename(home / "postgres" / "unfinished")
    second = servers.start(home)
    try:
        with vault(second) as client:
            assert client.get("sys/mounts").status_code == 200
        with psycopg.connect(second.database_url("placet_web")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        second.stop()


def test_a_vault_in_use_is_never_made_anew(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = servers.start(home)
    first.stop()
    (home / "keys" / "vault-root-token").unlink()
    with pytest.raises(CannotStart, match="vault-root-token is gone"):
        servers.start(home)
    assert list((home / "vault" / "data").iterdir())


def test_the_vault_keeps_an_audit_of_its_own(running: Servers) -> None:
    with vault(running) as client:
        client.get("placet/metadata/main/looked-up")
    assert "placet/metadata/main/looked-up" in (running.vault.directory / "audit.log").read_text()


def test_the_worker_is_told_no_key(running: Servers) -> None:
    variables = running.environment("worker")
    assert not [name for name in variables if "VAULT" in name or "SEAL" in name]
    assert "placet_worker:" in variables["PLACET_DATABASE_URL"]
    foreign = set(running.environment("web").values()) | set(
        running.environment("executor").values()
    )
    keys = (running.home / "keys").iterdir()
    secrets = {path.read_bytes().decode(errors="replace").strip() for path in keys}
    assert not secrets & set(variables.values()) - {variables["PLACET_SECRET_KEY"]}
    assert variables["PLACET_DATABASE_URL"] not in foreign


def test_every_setting_that_is_read_reaches_its_process(running: Servers) -> None:
    source = (BASE_DIR / "console" / "settings.py").read_text()
    read = set(re.findall(r'(?:setting|number)\("(PLACET_\w+)"', source))
    assert len(read) > 15
    told: set[str] = set(OPEN_SETTINGS)
    for process in PROCESSES:
        told |= set(running.environment(process, bank_url="http://127.0.0.1:1"))
    assert read <= told


def test_a_named_server_that_is_away_is_said_in_one_sentence(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    named = Named(database_url="postgresql://me:pw@127.0.0.1:1/mine")
    with pytest.raises(CannotStart) as caught:
        Embedded(home, named, {}).start()
    assert str(caught.value).startswith(
        "Nothing answers at 127.0.0.1:1, which PLACET_DATABASE_URL names"
    )


def test_named_servers_replace_the_embedded_ones(tmp_path: Path, running: Servers) -> None:
    """Another home takes over the servers of the first, so this test comes last."""
    home = Home(tmp_path / "home")
    home.make()
    named = Named(
        database_url=running.admin_url,
        broker_url=running.valkey.url(2),
        live_url=running.valkey.url(3),
        vault_addr=running.vault.address,
    )
    other = Embedded(home, named, {})
    assert other.embedded == []
    other.start()
    with pytest.raises(CannotStart, match="the first start needs PLACET_VAULT_TOKEN"):
        other.prepare()
    other = Embedded(home, replace(named, vault_token=running.vault.root_token), {})
    other.prepare()
    assert other.broker_url == running.valkey.url(2)
    assert other.vault_addr == running.vault.address
    assert f"127.0.0.1:{running.postgres.port}/placet" in other.database_url("placet_web")
    with psycopg.connect(other.database_url("placet_web")) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("placet_web",)
