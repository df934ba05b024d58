"""Notices by real processes: killed on the way, and the address of a channel shows nowhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from approvals.models import Notice
from runs.models import Run, Step
from tests.approvals.receiver import KEY, Receiver, receiving
from tests.browser.web import let_people_sign_in, web_process
from tests.harness import World
from tests.proof import canaries
from tests.proof.people import Person
from tests.proof.test_canary import wait_for_spans
from tests.servers import Servers
from tests.stack import Stack
from tests.telemetry.sink import Sink, listening

pytestmark = pytest.mark.processes

TOKEN = "Tq7vXw2LmB9cRz4KpD6s"
PASSWORD = "Hn3yGj8UfV5eWk1QaZ0o"
NEEDLES = canaries._windows([TOKEN, PASSWORD, KEY.removeprefix("whsec_")])


@pytest.fixture
def sink() -> Iterator[Sink]:
    with listening() as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as outside:
        yield outside


@pytest.fixture
def address(
    world: World, servers: Servers, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A web process that is traced, and people who may sign in there."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    let_people_sign_in()
    with web_process(servers, Path(os.environ["PLACET_TEST_WORLD"]) / "web.log") as running:
        yield running


def add_channels(address: str, receiver: Receiver) -> dict[str, str]:
    """A webhook with a token in its path, and messages with a password; what the pages said."""
    host = receiver.url.split("/")[2]
    said = {}
    asked = [
        {"name": "Hook", "way": "webhook", "url": f"http://{host}/hooks/{TOKEN}", "key": KEY},
        {"name": "Chat", "way": "message", "url": f"json://ops:{PASSWORD}@{host}/{TOKEN}"},
    ]
    with Person(address, "erin") as erin:
        for form in asked:
            answer = erin.post(
                "/settings/notices/add/", **form, kinds=["opened", "decided", "executed"]
            )
            assert f"{form['name']} was added." in answer.text
            said[f"page after adding {form['name']}"] = answer.text
    return said


def shown(address: str) -> dict[str, str]:
    runs = [str(id) for id in Run.objects.values_list("id", flat=True)]
    paths = ["/settings/notices/", "/secrets/", "/audit/", "/runs/?workflow=placet.notify"]
    paths += [f"/runs/{id}/" for id in runs] + [f"/api/v1/runs/{id}/events" for id in runs]
    with Person(address, "erin") as erin:
        return {f"page {path}": erin.http.get(path).text for path in paths}


def play(world: World, stack: Stack, receiver: Receiver) -> None:
    """A payment, asked for and made, while the receiver has its moods and processes are killed."""
    receiver.moods = ["slow", 500, "drop", 503]
    run = world.start("paying", amounts=[9870])
    stack.wait_until(lambda: len(receiver.calls) >= 1, "the first call", 60)
    stack.kill("executor")
    stack.kill("gatekeeper")
    world.approve_all(run)
    stack.wait_until(lambda: world.run_now(run).status == "succeeded", "the payment", 60)
    stack.wait_until(lambda: is_all_told(world), "all to be told", 120)


def is_all_told(world: World) -> bool:
    """Three notices, each to two channels, and nothing of them under way."""
    steps = Step.objects.filter(tenant=world.tenant, name="placet.deliver")
    return [step.status for step in steps] == ["succeeded"] * 6


def places(world: World, servers: Servers, sink: Sink) -> dict[str, str]:
    seen = canaries.rows_of_the_database(servers.admin_url)
    seen |= canaries.files_below(Path(os.environ["PLACET_TEST_WORLD"]))
    seen |= {
        name: text
        for name, text in canaries.files_below(servers.home, servers.home / "vault/data").items()
        if "postgres/data/base" not in name and "pg_wal" not in name
    }
    return seen | {"span all": b"\n".join(sink.bodies).decode("latin-1") + str(sink.spans)}


def leaks(seen: dict[str, str]) -> list[str]:
    """Where a dozen neighbouring characters of a secret show."""
    return sorted(
        name
        for name, text in seen.items()
        if any(text[at : at + canaries.WINDOW] in NEEDLES for at in range(len(text)))
    )


def search(
    world: World, servers: Servers, sink: Sink, address: str, receiver: Receiver, *, code: str
) -> dict[str, str]:
    seen = add_channels(address, receiver)
    with Stack(servers, PLACET_WORKFLOWS=code) as stack:
        play(world, stack, receiver)
        seen |= shown(address)
        wait_for_spans(sink)
    return seen | places(world, servers, sink)


def test_notices_arrive_whatever_is_killed_and_no_address_shows(
    world: World, servers: Servers, sink: Sink, address: str, receiver: Receiver
) -> None:
    seen = search(world, servers, sink, address, receiver, code="tests.zoo")
    assert Notice.objects.count() == 3
    assert len(receiver.taken) == 3
    assert receiver.forged == 0
    assert {body["type"] for body in receiver.taken.values()} == {
        "gate.opened",
        "gate.decided",
        "gate.executed",
    }
    assert leaks(seen) == []
    assert "execute_tool placet.deliver" in {received.span.name for received in sink.spans}


def test_without_redaction_the_same_search_finds_an_address(
    world: World, servers: Servers, sink: Sink, address: str, receiver: Receiver
) -> None:
    seen = search(world, servers, sink, address, receiver, code="tests.zoo,tests.proof.blind")
    assert "span all" in leaks(seen)
