"""Somebody who looks at pages, with the database rights of the web process."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from approvals import batches, changes, delegations, freezes, groups
from approvals.models import (
    Batch,
    BreakGlass,
    BreakGlassConfirmation,
    BreakGlassProof,
    BreakGlassReview,
    Change,
    ChangeVoice,
    Channel,
    Comment,
    Decision,
    Delegation,
    Freeze,
    Gate,
    Key,
    KeyRequest,
    KeyRevocation,
    Notice,
    Recap,
    Reviewer,
    SecondLook,
)
from console.models import AuditEntry, User
from console.roles import set_roles
from credentials.models import Lease, Scope, Secret
from runs.models import Event, Run, Schedule, Settlement, Signal, Step, new_id
from runs.schedules import create_schedule
from tests.approvals.glasses import opened
from tests.harness import PASSWORD, World, as_role

ABSENT = "0193d1a0-0000-7000-8000-000000000000"
STATE = (Run, Step, Event, Gate, Decision, AuditEntry, Secret, Scope, Lease, Settlement,
         Signal, Schedule, Change, ChangeVoice, Freeze, Reviewer, BreakGlass,
         BreakGlassConfirmation, BreakGlassProof, BreakGlassReview, Delegation, KeyRequest,
         KeyRevocation, Channel, Comment, Notice, Recap, SecondLook, Batch)  # fmt: skip
VOID = {"meta", "link", "input", "br", "hr", "img"}


@dataclass
class Visitor:
    """The test client of one person, or of nobody."""

    client: Client = field(default_factory=lambda: Client(SERVER_NAME="localhost"))

    def get(self, path: str, /, *, part: bool = False, **query: Any) -> HttpResponse:
        headers = {"HX-Request": "true"} if part else {}
        with as_role("placet_web"):
            return self.client.get(path, query, headers=headers)

    def post(self, path: str, /, **form: Any) -> HttpResponse:
        with as_role("placet_web"):
            return self.client.post(path, form)


def nobody() -> Visitor:
    return Visitor()


def visit_as(person: User) -> Visitor:
    visitor = Visitor()
    with as_role("placet_web"):
        visitor.client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return visitor


def make_person(username: str, *roles: str, tenant: str) -> User:
    with as_role("placet_owner"):
        person = User.objects.create_user(username=username, password=PASSWORD, tenant=tenant)
        set_roles(person, set(roles))
    return person


def make_question(world: World) -> Step:
    """What a run of Alice's asks, and nobody has answered."""
    run = world.start("asking")
    world.settle()
    return Step.objects.get(run=run, kind="ask")


def make_schedule(world: World, **given: Any) -> Schedule:
    """Alice's schedule of `adding`, at nine in Paris."""
    asked: dict[str, Any] = {
        "name": "Every morning",
        "workflow": "adding",
        "input": {"numbers": [1, 2]},
        "cron": "0 9 * * *",
        "time_zone": "Europe/Paris",
    }
    with as_role("placet_web"):
        return create_schedule(tenant=world.tenant, owner=world.alice, **(asked | given))


def make_safeguards(world: World) -> None:
    """A freeze of a tool that nobody has, a change, a glass to be confirmed, a delegation."""
    now = timezone.now()
    opened(world, reason="A drill.")
    with as_role("placet_web"):
        freezes.freeze(
            tenant=world.tenant, person=world.bob, scope="tool", subject="none", reason="A drill."
        )
        changes.propose(
            tenant=world.tenant,
            person=world.erin,
            kind="add_reviewer",
            body=groups.body(group="payments", person=world.mallory),
            reason="A drill.",
        )
        delegations.delegate(
            tenant=world.tenant,
            principal=world.bob,
            to=world.carol,
            from_at=now,
            until_at=now + timedelta(days=1),
            reason="A drill.",
        )


def safeguards_of(tenant: str) -> dict[str, list[Any]]:
    """What `make_safeguards` made, as the arguments of addresses."""
    kinds = {"change": Change, "freeze": Freeze, "glass": BreakGlass, "delegation": Delegation}
    kinds["key"] = Key
    return {
        name: list(kind._default_manager.filter(tenant=tenant).values_list("pk", flat=True))
        for name, kind in kinds.items()
    }


def make_channel(world: World) -> Channel:
    """A channel of Erin's, whose address nobody has written to the vault."""
    with as_role("placet_web"):
        return Channel.objects.create(
            tenant=world.tenant, name="Finance", way="webhook", kinds=["opened"],
            created_by=world.erin,
        )  # fmt: skip


def make_look(gate: Gate) -> SecondLook:
    """As if this gate had been drawn for a second look, whatever its lot."""
    look = SecondLook(tenant=gate.tenant, gate=gate, why="fast", drawn_at=timezone.now())
    with as_role("postgres"), transaction.atomic(), connection.cursor() as superuser:
        superuser.execute("SET LOCAL session_replication_role = replica")
        look.save(force_insert=True)
    return look


def make_batch(world: World, gate: Gate) -> Batch:
    """That Bob confirmed a list of this one request, without any decision yet."""
    item = batches.Item(gate_id=gate.pk, digest=bytes(gate.digest).hex())
    with as_role("placet_web"):
        made, _ = batches.begin(
            id=new_id(), tenant=world.tenant, person=world.bob, verdict="approve", reason="",
            items=[item],
        )  # fmt: skip
    return made


def written() -> dict[str, int]:
    """How many rows there are of everything that a page might write."""
    return {kind.__name__: kind._default_manager.count() for kind in STATE}


@dataclass
class Element:
    name: str
    attributes: dict[str, str]
    text: str = ""


class Page(HTMLParser):
    """The elements of a page with their own and their descendants' text."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(response.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if any(element.name == tag for element in self._open):
            while self._open.pop().name != tag:
                pass

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, name: str) -> list[Element]:
        return [e for e in self.elements if e.name == name]

    def texts(self, name: str) -> list[str]:
        return [" ".join(e.text.split()) for e in self.all(name)]

    def field(self, name: str) -> Element:
        """The one form field of that name."""
        found = [e for e in self.elements if e.attributes.get("name") == name]
        assert len(found) == 1, (name, found)
        return found[0]

    @property
    def text(self) -> str:
        return " ".join(self.all("body")[0].text.split())
