"""`make up` as a person meets it: one whole Placet for the module, and starts that refuse."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from console.embedded.ports import LOOPBACK, answers, find_free
from console.embedded.walls import BUBBLEWRAP
from console.home import BASE_DIR, PROCESSES
from tests.embedded.placet import Placet, processes_of, up_refuses

pytestmark = pytest.mark.processes

KEYS = ("PLACET_SEAL_KEY", "PLACET_VAULT_ROLE_ID", "PLACET_VAULT_SECRET_ID")
PEOPLE = ("alice", "bob", "carol", "dave", "erin", "frank")


@pytest.fixture(scope="module")
def placet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Placet]:
    """With the demo, up, and stopped at the end of the module if no test stopped it."""
    made = Placet(tmp_path_factory.mktemp("up") / "home")
    made.start()
    made.wait_until_up()
    yield made
    made.stop()


def ask(placet: Placet, query: str) -> list[tuple[object, ...]]:
    url = placet.written()["owner"]["PLACET_DATABASE_URL"]
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def test_it_says_the_address_and_how_to_sign_in(placet: Placet) -> None:
    password = (placet.home / "demo-password").read_text()
    assert f"Placet runs at http://127.0.0.1:{placet.port}/" in placet.output
    named = f"Passkeys need a name; they work at http://localhost:{placet.port}/"
    assert named in placet.output
    assert all(name in placet.output for name in (*PEOPLE, password))
    answer = httpx.get(f"http://127.0.0.1:{placet.port}/", trust_env=False, follow_redirects=True)
    assert answer.status_code == 200
    assert "Password" in answer.text


def test_each_line_carries_its_origin_without_colour_in_a_file(placet: Placet) -> None:
    for origin in ("placet", "bank", "web", "worker", "gatekeeper", "executor"):
        # Each says that it is ready in its own time.
        line = re.compile(rf"^{origin:<10} \| ", re.MULTILINE)
        placet.wait_for(lambda line=line: bool(line.search(placet.output)))
    assert "\x1b" not in placet.output


def test_secrets_of_the_home_are_private(placet: Placet) -> None:
    assert stat.S_IMODE(placet.home.stat().st_mode) == 0o700
    for path in [placet.home / "demo-password", placet.home / "environment.json"]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_doctor_finds_nothing_wrong(placet: Placet) -> None:
    done = doctor(placet)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrong" not in done.stdout
    for what in ("migrations", "rights", "seal key", "vault", "database as placet_worker"):
        assert re.search(rf"^ok     {what}$", done.stdout, re.MULTILINE), done.stdout


def test_the_doctor_names_a_grant_made_by_hand(placet: Placet) -> None:
    ask_admin(placet, "GRANT DELETE ON runs_event TO placet_worker")
    try:
        done = doctor(placet)
    finally:
        ask_admin(placet, "REVOKE DELETE ON runs_event FROM placet_worker")
    assert done.returncode == 1
    assert "wrong  rights: DELETE on runs_event to placet_worker is granted by hand" in done.stdout


def doctor(placet: Placet) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        env=placet.environment(),
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def ask_admin(placet: Placet, statement: str) -> None:
    url = placet.written()["owner"]["PLACET_DATABASE_URL"]
    with psycopg.connect(url) as connection:
        connection.execute(statement)


def test_processes_start_with_their_own_credentials_only(placet: Placet) -> None:
    written = placet.written()
    assert set(written) == set(PROCESSES)
    by_process: dict[str, list[dict[str, str]]] = {}
    for variables in placet.processes().values():
        by_process.setdefault(variables.get("PLACET_PROCESS", "server"), []).append(variables)
    for process in ("web", "gatekeeper", "worker", "executor"):
        foreign = {written[other]["PLACET_DATABASE_URL"] for other in PROCESSES if other != process}
        assert by_process[process]
        for variables in by_process[process]:
            assert variables["PLACET_DATABASE_URL"] == written[process]["PLACET_DATABASE_URL"]
            assert not foreign & set(variables.values())
    given = {
        process: {name for name in KEYS if any(name in part for part in parts)}
        for process, parts in by_process.items()
    }
    assert given == {
        "web": set(KEYS),
        "executor": {"PLACET_VAULT_ROLE_ID", "PLACET_VAULT_SECRET_ID"},
        "worker": set(),
        "gatekeeper": set(),
        "bank": set(),
        "server": set(),
    }


def test_the_code_of_agents_finds_the_home_empty(placet: Placet) -> None:
    innermost = max(i for i, v in placet.processes().items() if v.get("PLACET_PROCESS") == "worker")
    assert os.listdir(f"/proc/{innermost}/root{placet.home}") == []
    assert (placet.home / "environment.json").exists()


def test_servers_and_web_listen_on_loopback_only(placet: Placet) -> None:
    ours = {hex(port)[2:].upper().zfill(4) for port in listening_ports(placet)}
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    addresses = {row.split()[1] for row in rows if row.split()[3] == "0A"}
    found = {address for address in addresses if address.partition(":")[2] in ours}
    assert len(found) == len(ours)
    assert {address.partition(":")[0] for address in found} == {"0100007F"}


def listening_ports(placet: Placet) -> list[int]:
    text = (placet.home / "ports.json").read_text()
    return [placet.port, *map(int, re.findall(r": (\d+)", text))]


def test_a_second_start_on_the_same_home_refuses(placet: Placet) -> None:
    assert placet.process is not None
    said = up_refuses(placet.home)
    assert said.startswith(f"Placet runs already on {placet.home} (process {placet.process.pid})")


def test_a_process_that_is_killed_is_named_and_started_again(placet: Placet) -> None:
    before = placet.find("worker")
    readiness = placet.output.count("worker@")
    os.kill(before, signal.SIGKILL)
    placet.wait_for(lambda: "worker was ended by signal 9 (SIGKILL)" in placet.output, 10)
    assert "Starting it again in 1 s." in placet.output
    placet.wait_for(lambda: placet.output.count("worker@") > readiness, 30)
    assert placet.find("worker") != before


def test_a_server_that_is_killed_is_named_and_started_again(placet: Placet) -> None:
    server = next(
        i
        for i, v in placet.processes().items()
        if "PLACET_PROCESS" not in v and b"postgres" in Path(f"/proc/{i}/cmdline").read_bytes()
    )
    os.kill(server, signal.SIGKILL)
    placet.wait_for(lambda: "PostgreSQL was ended by signal 9 (SIGKILL)" in placet.output, 10)
    placet.wait_for(lambda: is_serving(placet), 20)
    assert ask(placet, "SELECT count(*) FROM console_user") == [(len(PEOPLE),)]


def is_serving(placet: Placet) -> bool:
    try:
        ask(placet, "SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def test_ctrl_c_leaves_nothing_and_the_next_start_finds_everything(placet: Placet) -> None:
    password = (placet.home / "demo-password").read_text()
    environment = placet.written()
    runs = ask(placet, "SELECT id FROM runs_run ORDER BY id")
    assert len(runs) == 1
    assert placet.stop(signal.SIGINT) == 0
    assert dict(processes_of(placet.home)) == {}
    assert not answers(placet.port)
    assert placet.output.rstrip().endswith(f"everything is kept in {placet.home}.")

    placet.start()
    placet.wait_until_up()
    assert password in placet.output
    assert placet.written() == environment
    assert ask(placet, "SELECT id FROM runs_run ORDER BY id") == runs
    assert doctor(placet).returncode == 0


def test_a_killed_supervisor_leaves_nothing_that_blocks_the_next_start(placet: Placet) -> None:
    assert placet.process is not None
    placet.process.kill()
    placet.process.wait()
    placet.start()
    placet.wait_until_up()
    assert placet.stop(signal.SIGTERM) == 0
    assert dict(processes_of(placet.home)) == {}


def test_a_taken_port_is_said_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, find_free()))
        taken.listen()
        port = taken.getsockname()[1]
        said = up_refuses(tmp_path / "home", PLACET_PORT=str(port))
    assert said.startswith(f"Port {port} on 127.0.0.1 cannot be used (Address already in use)")
    assert "PLACET_PORT" in said


def test_a_home_that_cannot_be_made_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    said = up_refuses(tmp_path / "file" / "home")
    assert "Not a directory" in said
    assert "PLACET_HOME" in said


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("finished")
    before = tmp_path.stat().st_mode
    said = up_refuses(tmp_path)
    assert said.startswith(f"PLACET_HOME names {tmp_path}, which holds other things")
    assert tmp_path.stat().st_mode == before


def test_a_read_only_home_is_said_in_one_sentence(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    said = refused_within(["--ro-bind", str(home), str(home)], home)
    assert said.startswith(f"Cannot write {home} (Read-only file system); make {home} writable")


def test_a_full_disk_is_said_in_one_sentence(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    said = refused_within(["--size", "20000000", "--tmpfs", str(home)], home)
    assert said.startswith(f"The disk that holds {home} has ")
    assert said.endswith("free some space and start again.")


def refused_within(view: list[str], home: Path) -> str:
    """What `up` says where the file system looks like `view` (arguments of bubblewrap)."""
    placet = Placet(home)
    done = subprocess.run(
        [BUBBLEWRAP, "--dev-bind", "/", "/", *view, sys.executable, "manage.py", "up"],
        env=placet.environment(),
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


def test_a_server_of_yours_that_is_away_is_said_in_one_sentence(tmp_path: Path) -> None:
    said = up_refuses(tmp_path / "home", PLACET_BROKER_URL="redis://127.0.0.1:1/0")
    assert "Nothing answers at 127.0.0.1:1, which PLACET_BROKER_URL names" in said


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_a_port_that_is_none_is_said_in_one_sentence(tmp_path: Path, port: str) -> None:
    assert repr(port) in up_refuses(tmp_path / "home", PLACET_PORT=port)


def test_without_the_demo_there_are_no_people_and_no_bank(tmp_path: Path) -> None:
    placet = Placet(tmp_path / "home", PLACET_DEMO="0")
    placet.start()
    try:
        placet.wait_until_up()
        assert "There is no demo." in placet.output
        assert not (placet.home / "demo-password").exists()
        assert "bank" not in {v.get("PLACET_PROCESS") for v in placet.processes().values()}
        assert ask(placet, "SELECT count(*) FROM console_user") == [(0,)]
    finally:
        assert placet.stop() == 0


def test_the_doctor_of_a_place_never_started_says_how_to_start(tmp_path: Path) -> None:
    done = doctor(Placet(tmp_path / "home"))
    assert done.returncode == 1
    assert re.search(r"^wrong  home .*: is not there -> run `make up`", done.stdout, re.MULTILINE)
    assert "database" not in done.stdout


def test_a_broken_module_of_workflows_is_said_in_one_sentence(tmp_path: Path) -> None:
    said = up_refuses(tmp_path / "home", PLACET_WORKFLOWS="nobodys_workflows")
    assert "PLACET_WORKFLOWS names 'nobodys_workflows', which cannot be imported: No module" in said


def test_behind_the_walls_worker_gatekeeper_and_executor_do_their_work(tmp_path: Path) -> None:
    """The demo's run opens gates; one is approved in a terminal, and its payment is made."""
    placet = Placet(tmp_path / "home")
    placet.start()
    try:
        placet.wait_until_up()
        placet.wait_for(lambda: bool(ask(placet, "SELECT id FROM approvals_gate")))
        ((gate,),) = ask(
            placet,
            "SELECT id FROM approvals_gate WHERE quorum = 1 AND status = 'open' LIMIT 1",
        )
        done = subprocess.run(
            [
                sys.executable,
                "manage.py",
                "decide",
                str(gate),
                "--user",
                "bob",
                "--approve",
                "--yes",
            ],
            env=placet.environment()
            | {"PLACET_PASSWORD": (placet.home / "demo-password").read_text().strip()},
            cwd=BASE_DIR,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        made = (
            "SELECT s.id FROM runs_step s JOIN approvals_gate g ON g.step_id = s.id"
            f" WHERE g.id = '{gate}' AND s.status = 'succeeded'"
        )
        placet.wait_for(lambda: bool(ask(placet, made)))
    finally:
        assert placet.stop() == 0
