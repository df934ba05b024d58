"""The processes of Placet, played one after the other in one test, each under its own role.

`World` is an empty tenant with its people. `as_role` reconnects under another PostgreSQL
role, so that a test acts with exactly the rights of that process.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.db import connection, connections, transaction
from psycopg.pq import TransactionStatus

from approvals import consent, pace, policies, tasks
from approvals.decisions import decide, install_seal_key, seal_settlement
from approvals.errors import TooFast
from approvals.models import Gate, Reviewer
from approvals.rules.document import normalise
from console import roles
from console.models import User
from console.settings import database
from runs import (
    canonical,
    claims,
    completions,
    dispatch,
    effects,
    recovery,
    registry,
    settlements,
    worker,
)
from runs.lifecycle import start_run
from runs.models import Run, Step
from tests.servers import Servers

PASSWORD = "correct horse battery staple"
_numbers = itertools.count(1)
_servers: Servers | None = None
_kept: dict[str, Any] = {}


def prepare(servers: Servers) -> None:
    """Once a session: the seal key, declarations, and no hints to anybody."""
    global _servers
    _servers = servers
    # What a test has a process do is done when the call returns.
    settings.PLACET_RUNS_AT_ONCE = 1
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    install_seal_key(bytes.fromhex(settings.PLACET_SEAL_KEY))
    registry.discover()
    registry.register(registry.collect())
    dispatch.plug(None)
    dispatch.plug_live(None)
    dispatch.plug_listener(None)
    effects.plug_verifier(consent.verify)
    settlements.plug_sealer(seal_settlement)
    connection.close()


def wait_for(is_so: Callable[[], bool], seconds: float = 10) -> None:
    """Looks again and again, for at most so long."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


@contextmanager
def as_role(role: str) -> Iterator[None]:
    """The default connection under another role: placet_web, placet_worker, ...

    Each role keeps its connection from test to test, as each process does: to open one, and to
    plan and compile everything anew in it, would be most of what many a test takes.
    """
    assert _servers is not None
    url = _servers.admin_url if role == "postgres" else _servers.database_url(role)
    was_before, before = connection.settings_dict, connections.databases["default"]
    _put_away()
    connection.settings_dict = {**was_before, **database(url)}
    _take_out()
    # Threads that begin meanwhile act under this role as well, and another keeps the claims.
    connections.databases["default"] = connection.settings_dict
    claims.keeper.replace_thread()
    try:
        yield
    finally:
        _put_away()
        connection.settings_dict = was_before
        connections.databases["default"] = before
        _take_out()


def _put_away() -> None:
    """Keeps what this role's connection is, if it is of use to the next who acts under it."""
    raw = connection.connection
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or raw is None or raw.info.transaction_status != TransactionStatus.IDLE:
        connection.close()
        return
    _close_kept(_ours())
    _kept[_ours()] = raw
    connection.connection = None


def _take_out() -> None:
    is_main = threading.current_thread() is threading.main_thread()
    kept = _kept.pop(_ours(), None) if is_main else None
    if kept is None:
        return
    try:
        # Nothing that a test has set stays, and a server that was restarted meanwhile is noticed.
        kept.execute("RESET ALL; SET TimeZone = 'UTC'")
    except psycopg.Error:
        kept.close()
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connections["default"], "get_new_connection", lambda _: kept)
            connection.connect()


def _ours() -> str:
    """What a connection of now would be opened with."""
    given = ("HOST", "PORT", "NAME", "USER", "OPTIONS")
    return repr([connection.settings_dict[name] for name in given])


def _close_kept(ours: str) -> None:
    kept = _kept.pop(ours, None)
    if kept is not None:
        kept.close()


def close_connections() -> None:
    """All that were kept: the server is about to stop."""
    connections.close_all()
    for ours in list(_kept):
        _close_kept(ours)


def admin() -> psycopg.Connection[Any]:
    """A connection as the superuser of the cluster, whom only tests use."""
    assert _servers is not None
    return psycopg.connect(_servers.admin_url, autocommit=True)


def empty_the_database() -> None:
    """Deletes all rows but the declarations and the roles; the guards are switched off for it."""
    keep = ("django_", "auth_", "runs_declaration", "runs_workflowdeclaration", "approvals_sealkey")
    with as_role("postgres"), transaction.atomic(), connection.cursor() as superuser:
        superuser.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = [name for (name,) in superuser.fetchall() if not name.startswith(keep)]
        emptied = [f'DELETE FROM "{name}"' for name in names]
        superuser.execute("; ".join(["SET LOCAL session_replication_role = replica", *emptied]))


class World:
    """A tenant of its own, with Alice, Bob, Carol, Dave, Erin and Mallory."""

    tenant: str
    alice: User
    bob: User
    carol: User
    dave: User
    erin: User
    mallory: User

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.tenant = f"tenant-{next(_numbers)}"

    def __enter__(self) -> World:
        self._outside = tempfile.TemporaryDirectory(prefix="placet-world-")
        os.environ["PLACET_TEST_WORLD"] = self._outside.name
        empty_the_database()
        with as_role("placet_owner"), transaction.atomic():
            self._people()
            policies.publish_policy(**self._rule())
        return self

    def __exit__(self, *_: object) -> None:
        connections.close_all()
        self._outside.cleanup()

    def _people(self) -> None:
        cast = {
            "alice": roles.OPERATOR,
            "bob": roles.REVIEWER,
            "carol": roles.REVIEWER,
            "dave": roles.AUDITOR,
            "erin": roles.ADMIN,
            "mallory": roles.REVIEWER,
        }
        groups = {group.name: group for group in Group.objects.all()}
        people = User.objects.bulk_create(
            User(username=name, password=_hashed(), tenant=self.tenant) for name in cast
        )
        given = User.groups.through
        given.objects.bulk_create(
            given(user=person, group=groups[cast[person.username]]) for person in people
        )
        for person in people:
            setattr(self, person.username, person)
        Reviewer.objects.bulk_create(
            Reviewer(tenant=self.tenant, group="payments", person=person)
            for person in (self.bob, self.carol)
        )

    def policy(self, **changed: Any) -> Any:
        """A rule: EUR up to 10,000.00 for `pay`, one of the group payments."""
        with as_role("placet_owner"):
            return policies.publish_policy(**self._rule(**changed))

    def _rule(self, **changed: Any) -> dict[str, Any]:
        rule: dict[str, Any] = {
            "tenant": self.tenant,
            "name": "Payments up to 10,000 euro",
            "tool": "pay",
            "currency": "EUR",
            "above_minor": 0,
            "up_to_minor": 1_000_000,
            "group": "payments",
            "quorum": 1,
            "expires_after_seconds": 3600,
        }
        if "tool" in changed:
            rule["name"] = f"Payments by {changed['tool']}"
        return rule | changed

    def publish(self, *rules: dict[str, Any], **rest: Any) -> Any:
        """A policy of these rules alone; what they do not say is filled in."""
        document = normalise({"v": 1, "rules": list(rules), **rest})
        with as_role("placet_owner"):
            return policies.publish(tenant=self.tenant, document=document)

    def join(self, group: str, *people: User) -> None:
        """Makes them members, as the owner may."""
        with as_role("placet_owner"):
            for person in people:
                Reviewer.objects.create(tenant=self.tenant, group=group, person=person)

    def start(self, workflow: str, *, by: User | None = None, **input: Any) -> Run:
        with as_role("placet_web"):
            run, _ = start_run(
                tenant=self.tenant,
                workflow=workflow,
                input=input,
                requested_by=by or self.alice,
            )
        return run

    def work(self) -> int:
        """Everything that a worker would do now."""
        with as_role("placet_worker"):
            return recovery.wake_due_runs() + worker.drain()

    def keep_gates(self) -> int:
        """Everything that the gatekeeper would do now."""
        with as_role("placet_gatekeeper"):
            asked = tasks.sweep_key_requests() + tasks.sweep_glasses()
            return tasks.sweep_due_gates() + asked + tasks.LostGates().sweep()

    def execute(self) -> int:
        """Everything that an executor would do now."""
        with as_role("placet_executor"):
            return (
                recovery.recover_lost_steps()
                + recovery.expire_completions()
                + settlements.carry_out()
                + completions.carry_out()
                + effects.drain()
            )

    def settle(self) -> None:
        """All processes in turn, until none of them finds anything to do."""
        for _ in range(100):
            if not self.work() + self.keep_gates() + self.execute():
                return
        raise AssertionError("The processes did not come to rest.")

    def park_at_gates(self, *amounts: int, **input: Any) -> Run:
        """A run of `paying`, waiting at one gate for each amount."""
        run = self.start("paying", amounts=list(amounts), **input)
        self.settle()
        return run

    def gates(self, run: Run) -> list[Gate]:
        return list(Gate.objects.filter(run=run).order_by("step__position"))

    def decide(
        self, gate: Gate, person: User, verdict: str = "approve", reason: str = "", **given: Any
    ) -> Any:
        """Who is too fast looks over what they approved, and goes on."""
        with as_role("placet_web"):
            return patiently(
                person,
                lambda: decide(
                    gate_id=gate.id,
                    tenant=self.tenant,
                    person=person,
                    verdict=verdict,
                    reason=reason or ("no" if verdict == "deny" else ""),
                    digest=bytes(gate.digest).hex(),
                    **given,
                ),
            )

    def approve_all(self, run: Run, *people: User) -> None:
        for gate in self.gates(run):
            for person in people or (self.bob,):
                self.decide(gate, person)

    def run_now(self, run: Run) -> Run:
        return Run.objects.get(pk=run.pk)

    def steps(self, run: Run) -> list[Step]:
        return list(Step.objects.filter(run=run).order_by("position"))

    def result(self, run: Run) -> Any:
        encoded = self.run_now(run).result
        return None if encoded is None else canonical.decode(encoded)


@cache
def _hashed() -> str:
    return make_password(PASSWORD)


def patiently(person: User, approve: Callable[[], Any]) -> Any:
    """Approves; a person who is told that they are too fast looks over their approvals first."""
    try:
        return approve()
    except TooFast:
        upto = pace.pace_of(person).approvals[0].pk
        pace.recap(tenant=person.tenant, person=person, upto=upto)
        return approve()
