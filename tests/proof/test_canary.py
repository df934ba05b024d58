"""A secret that every tool gives away shows in no table, log, span, message, frame or page.

The values are written through the real page into the real vault, lent by a real executor to
tools that misbehave, and then looked for in everything that Placet wrote, sent or showed. The
same is played once more with redaction switched off, because a search that finds nothing
proves nothing until it has found something.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from approvals.models import Gate
from runs import registry
from runs.models import Run
from tests.browser.web import let_people_sign_in, web_process
from tests.harness import World, as_role
from tests.proof import canaries, leaky
from tests.proof.echo import echoing
from tests.proof.people import Person
from tests.servers import Servers
from tests.stack import Stack
from tests.telemetry.sink import Sink, listening

pytestmark = pytest.mark.processes

TOOLS = ("leak", "leak_once", "leak_and_pay")
END = "the-end-of-listening"
QUIET_SECONDS = 1.0


@dataclass
class Seen:
    """All places that were searched, by name; what each held, as text."""

    places: dict[str, str] = field(default_factory=dict)

    def leaks(self) -> list[str]:
        return canaries.found_in(self.places)

    def kinds(self) -> set[str]:
        """The kinds of places in which a canary shows: table, file, span, page, ..."""
        return {leak.split(" ", 1)[0].rstrip(":") for leak in self.leaks()}


@contextmanager
def listening_to_messages(url: str) -> Iterator[list[str]]:
    """Every command that Valkey was sent meanwhile: Celery's messages and the live hints."""
    heard: list[str] = []
    is_listening = threading.Event()

    def listen() -> None:
        forever = redis.Redis.from_url(url, socket_timeout=None)
        with forever as client, client.monitor() as monitor:
            is_listening.set()
            while True:
                # As it comes: the client's own reading of it fails on some commands.
                line = str(monitor.connection.read_response())
                if END in line:
                    return
                heard.append(line)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert is_listening.wait(10)
    yield heard
    with redis.Redis.from_url(url) as client:
        client.echo(END)
    thread.join(10)


@contextmanager
def listening_to_frames(address: str, person: Person) -> Iterator[list[str]]:
    """Every frame that an open page was sent meanwhile."""
    frames: list[str] = []
    url = address.replace("http", "ws", 1) + "/live/"
    headers = {"Cookie": person.cookie(), "Origin": address}
    with connect(url, additional_headers=headers) as socket:

        def listen() -> None:
            with suppress(ConnectionClosed):
                frames.extend(str(frame) for frame in socket)

        threading.Thread(target=listen, daemon=True).start()
        yield frames


def write_the_secret(erin: Person) -> str:
    """Through the page; gives all that the pages answered."""
    names = {f"name_{index}": name for index, name in enumerate(canaries.FIELDS)}
    values = {f"value_{index}": value for index, value in enumerate(canaries.FIELDS.values())}
    about = {"path": leaky.SECRET, "description": "A canary", "expected_version": "0"}
    # First with a fault, so that the page with the form comes back.
    refused = erin.http.post(
        "/secrets/write/",
        data=names | values | about | {"path": "no such/path!"}
        | {"csrfmiddlewaretoken": erin.http.cookies["csrftoken"]},
        headers={"Referer": str(erin.http.base_url)},
    )  # fmt: skip
    assert refused.status_code == 422
    answers = [refused.text, erin.post("/secrets/write/", **names, **values, **about).text]
    assert "was written to the vault" in answers[-1]
    for tool in TOOLS:
        answers.append(erin.post("/secrets/scopes/grant/", path=leaky.SECRET, tool=tool).text)
    assert "leak_and_pay" in answers[-1]
    return "\n".join(answers)


def pages_about(address: str, runs: list[Run]) -> dict[str, str]:
    """What every page and call shows of these runs, their gates and the secret."""
    ids = [str(run.id) for run in runs]
    gates = [str(id) for id in Gate.objects.values_list("id", flat=True)]
    everybody = ["/", "/inbox/", "/runs/", "/api/v1/runs", "/api/v1/gates"]
    for id in ids:
        everybody += [f"/runs/{id}/", f"/api/v1/runs/{id}", f"/api/v1/runs/{id}/events?limit=200"]
        everybody += [f"/runs/{id}/?before={before}" for before in (30, 60)]
    for id in gates:
        everybody += [f"/gates/{id}/", f"/api/v1/gates/{id}"]
    by_person = {
        "alice": everybody,
        "bob": everybody,
        "dave": [*everybody, "/audit/"],
        "erin": [*everybody, "/audit/", "/secrets/", f"/secrets/write/?path={leaky.SECRET}"],
    }
    shown = {}
    for username, paths in by_person.items():
        with Person(address, username) as person:
            for path in paths:
                answer = person.http.get(path)
                assert answer.status_code == 200, (username, path, answer.status_code)
                shown[f"page {path} for {username}"] = f"{answer.headers}\n{answer.text}"
    return shown


def register_the_tools() -> None:
    with as_role("placet_owner"):
        registry.register(registry.collect())


def play(world: World, stack: Stack, address: str, outside: str) -> list[Run]:
    """All ways to leak, one payment between gate and bank, and one step left in doubt."""
    runs = [
        world.start("leaking", ways=list(leaky.WAYS), outside=outside),
        world.start("leaking_once", way="raise_chained", outside=outside),
    ]

    def is_gate_open() -> bool:
        return Gate.objects.filter(run=runs[0], status="open").exists()

    stack.wait_until(is_gate_open, "the gate", 60)
    world.approve_all(runs[0])
    stack.wait_until(lambda: world.run_now(runs[0]).status == "failed", "the run's end", 60)
    stack.wait_until(
        lambda: [step.status for step in world.steps(runs[1])] == ["in_doubt"], "the doubt", 60
    )
    return runs


@pytest.fixture
def address(
    world: World,
    servers: Servers,
    sink: Sink,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """A web process that is traced, and people who may sign in there."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    world.policy(tool="leak_and_pay")
    register_the_tools()
    let_people_sign_in()
    with web_process(servers, Path(os.environ["PLACET_TEST_WORLD"]) / "web.log") as running:
        yield running


@pytest.fixture
def sink() -> Iterator[Sink]:
    with listening() as made:
        yield made


def search(world: World, servers: Servers, sink: Sink, address: str, code: str) -> Seen:
    """Plays everything with the author's code from that module; gives all that can be read."""
    seen = Seen()
    valkey = servers.environment("worker")["PLACET_BROKER_URL"]
    with (
        Person(address, "erin") as erin,
        listening_to_messages(valkey) as messages,
        listening_to_frames(address, erin) as frames,
    ):
        seen.places["page while writing"] = write_the_secret(erin)
        with echoing() as outside, Stack(servers, PLACET_WORKFLOWS=code) as stack:
            runs = play(world, stack, address, outside)
            seen.places |= pages_about(address, runs)
            wait_for_spans(sink)
        assert messages and frames
        seen.places["message all"] = "\n".join(messages)
        seen.places["frame all"] = "\n".join(frames)
    seen.places |= canaries.rows_of_the_database(servers.admin_url)
    seen.places |= canaries.files_below(Path(os.environ["PLACET_TEST_WORLD"]))
    seen.places |= {
        name: text
        # The vault keeps the value, encrypted; its audit log is searched like all the rest.
        for name, text in canaries.files_below(servers.home, servers.home / "vault/data").items()
        # PostgreSQL's own files hold what its tables hold, which are read row by row.
        if "postgres/data/base" not in name and "pg_wal" not in name
    }
    seen.places["span all"] = b"\n".join(sink.bodies).decode("latin-1") + str(sink.spans)
    return seen


def wait_for_spans(sink: Sink) -> None:
    """Until no batch has come for a while."""
    count, quiet_since = len(sink.bodies), time.monotonic()
    while time.monotonic() - quiet_since < QUIET_SECONDS:
        time.sleep(0.05)
        if len(sink.bodies) != count:
            count, quiet_since = len(sink.bodies), time.monotonic()


def test_the_value_of_a_secret_shows_nowhere(
    world: World, servers: Servers, sink: Sink, address: str
) -> None:
    seen = search(world, servers, sink, address, "tests.proof.leaky")
    assert seen.leaks() == []
    # It was used: what was put in the value's place is there, in each kind of place.
    for place in ("table runs_step", "file executor.log", "span all"):
        assert "[redacted:proof/canary/" in seen.places[place], place
    assert any("vault/audit" in name for name in seen.places)
    names = {received.span.name for received in sink.spans}
    assert {"execute_tool leak", "call [redacted:proof/canary/odd]"} <= names


def test_without_redaction_the_same_search_finds_it(
    world: World, servers: Servers, sink: Sink, address: str
) -> None:
    seen = search(world, servers, sink, address, "tests.proof.blind")
    assert {"table", "file", "span", "page"} <= seen.kinds()
    found = "\n".join(seen.leaks())
    for place in (
        "runs_step",
        "runs_event",
        "runs_run",
        "executor.log",
        "page /runs/",
        "page /api",
    ):
        assert place in found, place
    # Not even then: messages and frames carry identifiers only.
    assert not {"message", "frame"} & seen.kinds()


def test_the_search_finds_half_of_each_value_in_each_encoding() -> None:
    for value in canaries.FIELDS.values():
        for encoded in canaries.encodings(value):
            half = encoded[len(encoded) // 2 :]
            assert canaries.found_in({"place": f"cut {half} cut"}), encoded
