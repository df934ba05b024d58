"""What happens at gates is told once, whatever breaks: written by a sweep, sent by steps."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection

from approvals import notices
from approvals.models import Channel, Gate, Notice, Reviewer
from console import workflows
from console.notices import payloads, sending
from console.pages import words
from console.roles import set_roles
from credentials import redaction
from credentials.broker import VaultProvider
from runs import effects, points
from runs.errors import Refusal
from runs.models import Run, Step, new_id
from runs.retries import Retry
from tests import zoo
from tests.approvals import told
from tests.approvals.attacks import refusal
from tests.approvals.receiver import KEY, Receiver, bodies, receiving
from tests.approvals.test_thresholds import gate_of, rule
from tests.doubts import doubtful_payment
from tests.harness import World, admin, as_role

SOON = Retry(attempts=3, base_seconds=0.01, cap_seconds=0.01, spent="fail")


@pytest.fixture
def receiver(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """The outside, and an executor that may ask the vault; its retries are quick."""
    effects.plug_credentials(VaultProvider())
    object.__setattr__(workflows.deliver, "retry", SOON)
    with receiving() as outside:
        yield outside
    object.__setattr__(workflows.deliver, "retry", workflows.RETRY)
    effects.plug_credentials(None)


def parked(world: World, amount: int = 9870) -> Gate:
    return world.gates(world.park_at_gates(amount))[0]


# What is told


def test_each_thing_that_happens_at_a_gate_is_told_once(world: World, receiver: Receiver) -> None:
    told.channel(world, receiver.url)
    gate = parked(world)
    told.tell(world)
    assert told.kinds(world) == ["opened"]
    world.decide(gate, world.bob)
    told.tell(world)
    assert told.kinds(world) == ["opened", "decided", "executed"]
    told.tell(world)
    assert told.sweep() == 0
    assert set(receiver.counts().values()) == {1}
    assert receiver.forged == 0
    types = [told["type"] for told in receiver.taken.values()]
    assert sorted(types) == ["gate.decided", "gate.executed", "gate.opened"]
    assert [run.status for run in told.deliveries(world)] == ["succeeded"] * 3


def test_a_denial_tells_its_reason_and_an_expiry_tells_that_silence_is_refusal(
    world: World, receiver: Receiver
) -> None:
    told.channel(world, receiver.url, kinds=["decided", "expired"])
    denied = parked(world)
    world.policy(name="short", currency="GBP", expires_after_seconds=1)
    late = world.gates(world.park_at_gates(500, currency="GBP"))[0]
    world.decide(denied, world.bob, "deny", "There is no such invoice.")
    with admin() as superuser:
        superuser.execute(
            "SELECT pg_sleep(greatest(0, extract(epoch FROM expires_at - clock_timestamp())))"
            " FROM approvals_gate WHERE id = %s",
            [late.id],
        )
    told.tell(world)
    said = {body["type"]: body["data"] for body in receiver.taken.values()}
    assert said["gate.decided"]["headline"] == "Denied: €98.70 to GB29NWBK60161331926810"
    (decision,) = said["gate.decided"]["decisions"]
    assert decision == {"by": "bob", "verdict": "deny", "reason": "There is no such invoice."}
    assert said["gate.expired"]["headline"].startswith("Expired without a decision: £5.00")


def test_what_goes_wrong_with_the_payment_is_told(world: World, receiver: Receiver) -> None:
    told.channel(world, receiver.url, kinds=["failed", "in_doubt"])
    refused = world.park_at_gates(500)
    world.approve_all(refused)
    (zoo.world_dir() / "pay-refuses").write_text("1")
    told.tell(world)
    doubtful_payment(world)
    told.tell(world)
    assert sorted(body["type"] for body in receiver.taken.values()) == [
        "gate.failed",
        "gate.in_doubt",
    ]


def test_an_open_gate_is_told_of_once_more_when_its_time_has_come(
    world: World, receiver: Receiver
) -> None:
    told.channel(world, receiver.url, kinds=["reminder"])
    world.policy(name="Two", above_minor=1_000_000, up_to_minor=2_000_000, remind_after_seconds=2)
    world.park_at_gates(1_500_000)
    told.tell(world)
    assert "reminder" not in told.kinds(world)
    with admin() as superuser:
        superuser.execute("SELECT pg_sleep(2)")
    told.tell(world)
    told.tell(world)
    assert told.kinds(world).count("reminder") == 1
    assert [body["type"] for body in bodies(receiver)] == ["gate.reminder"]


def test_a_notice_concerns_who_decides_and_never_who_asked(world: World) -> None:
    parked(world)
    told.sweep()
    opened = Notice.objects.get(kind="opened")
    assert opened.people == sorted([world.bob.pk, world.carol.pk])
    gate = opened.gate
    assert gate is not None
    world.decide(gate, world.bob)
    world.settle()
    told.sweep()
    assert Notice.objects.get(kind="decided").people == sorted([world.alice.pk, world.bob.pk])


def test_a_request_of_a_reviewer_wakes_the_others_alone(world: World) -> None:
    world.start("paying", by=world.bob, amounts=[9870])
    world.settle()
    told.sweep()
    assert Notice.objects.get(kind="opened").people == [world.carol.pk]


def test_a_channel_is_told_of_nothing_that_was_before_it(world: World, receiver: Receiver) -> None:
    gate = parked(world)
    told.channel(world, receiver.url)
    told.tell(world)
    assert receiver.calls == []
    world.decide(gate, world.bob)
    told.tell(world)
    assert {body["type"] for body in bodies(receiver)} == {"gate.decided", "gate.executed"}


def test_a_channel_that_is_paused_is_told_of_nothing(world: World, receiver: Receiver) -> None:
    channel = told.channel(world, receiver.url)
    with as_role("placet_web"):
        Channel.objects.filter(pk=channel.pk).update(paused_at="2026-01-01T00:00:00Z")
    parked(world)
    told.tell(world)
    assert told.kinds(world) == ["opened"]
    assert (receiver.calls, told.deliveries(world)) == ([], [])


def test_what_happened_longer_ago_than_the_limit_is_no_news(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    parked(world)
    monkeypatch.setattr("approvals.limits.NOTICE_SECONDS", 0)
    assert told.sweep() == 0
    monkeypatch.undo()
    assert told.sweep() == 1


# Never twice, never lost


@pytest.mark.parametrize("point", ["notice.written", "committed:notice.written"])
def test_a_gatekeeper_that_dies_loses_no_notice_and_tells_none_twice(
    world: World, receiver: Receiver, point: str
) -> None:
    told.channel(world, receiver.url, kinds=["opened"])
    parked(world)

    def die(reached: str) -> None:
        if reached == point:
            raise RuntimeError("killed here")

    points.observer = die
    try:
        assert told.sweep() == 0
    finally:
        points.observer = None
    is_written = point.startswith("committed")
    assert (Notice.objects.count(), len(told.deliveries(world))) == (is_written, is_written)
    told.tell(world)
    assert set(receiver.counts().values()) == {1}
    assert (Notice.objects.count(), len(told.deliveries(world))) == (1, 1)


def test_two_gatekeepers_at_once_tell_it_once(world: World, receiver: Receiver) -> None:
    told.channel(world, receiver.url, kinds=["opened"])
    parked(world)
    found = threading.Barrier(2, timeout=10)
    counts: list[int] = []
    real = notices._insert

    def insert(notice: Notice) -> bool:
        found.wait()
        return real(notice)

    def sweep() -> None:
        counts.append(notices.sweep())
        connection.close()

    with pytest.MonkeyPatch.context() as patch, as_role("placet_gatekeeper"):
        patch.setattr(notices, "_insert", insert)
        both = [threading.Thread(target=sweep) for _ in range(2)]
        for one in both:
            one.start()
        for one in both:
            one.join()
    assert sorted(counts) == [0, 1]
    assert (Notice.objects.count(), len(told.deliveries(world))) == (1, 1)


def test_the_database_keeps_a_second_notice_out(world: World) -> None:
    parked(world)
    told.sweep()
    again = (
        "INSERT INTO approvals_notice (id, tenant, gate_id, kind, subject, happened_at, facts,"
        " people, channels, writer) SELECT gen_random_uuid(), tenant, gate_id, kind, subject,"
        " happened_at, facts, people, channels, '' FROM approvals_notice"
    )
    assert "approvals_notice_once" in refusal(world, "placet_gatekeeper", (again, []))


def test_a_notice_is_never_rewritten(world: World) -> None:
    parked(world)
    told.sweep()
    with admin() as superuser, pytest.raises(psycopg.Error, match="append-only"):
        superuser.execute("UPDATE approvals_notice SET kind = 'expired'")
    for role in ("placet_web", "placet_worker", "placet_executor"):
        assert "permission denied" in refusal(
            world, role, ("INSERT INTO approvals_notice (id) VALUES (gen_random_uuid())", [])
        )


# How it goes out


def test_a_receiver_that_fails_is_told_again_under_the_same_number(
    world: World, receiver: Receiver
) -> None:
    told.channel(world, receiver.url, kinds=["opened"])
    receiver.moods = [500, "drop"]
    parked(world)
    told.deliver_until_done(world, 3, receiver)
    assert list(receiver.counts().values()) == [3]
    assert len({call["body"] for call in receiver.calls}) == 1
    assert len(receiver.taken) == 1
    (run,) = told.deliveries(world)
    (step,) = told.steps_of(run)
    assert (step.status, step.attempt) == ("succeeded", 3)


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_that_names_a_time_is_left_alone_until_then(
    world: World, receiver: Receiver, status: int
) -> None:
    told.channel(world, receiver.url, kinds=["opened"])
    receiver.moods = [(status, {"retry-after": "1"})]
    parked(world)
    told.deliver_until_done(world, 2, receiver)
    first, second = (call["at"] for call in receiver.calls)
    assert second - first >= 1.0
    assert len(receiver.taken) == 1


def test_a_receiver_that_refuses_is_not_asked_again_and_the_step_says_so(
    world: World, receiver: Receiver
) -> None:
    told.channel(world, receiver.url, kinds=["opened"])
    receiver.moods = [410]
    parked(world)
    told.tell(world)
    (run,) = told.deliveries(world)
    (step,) = told.steps_of(run)
    assert (step.status, step.attempt, len(receiver.calls)) == ("failed", 1, 1)
    assert step.error is not None
    assert step.error["message"] == "The receiver refused the notice (410)."
    assert run.status == "failed"


def test_a_redirect_is_not_followed(world: World, receiver: Receiver) -> None:
    told.channel(world, receiver.url, kinds=["opened"])
    receiver.moods = [(307, {"location": "/elsewhere"})]
    parked(world)
    told.tell(world)
    ((step,),) = (told.steps_of(run) for run in told.deliveries(world))
    assert step.error is not None and "redirects (307)" in step.error["message"]
    assert len(receiver.calls) == 1


def test_a_delivery_of_which_nobody_knows_is_in_doubt(world: World, receiver: Receiver) -> None:
    told.channel(world, receiver.url, kinds=["opened"])
    receiver.moods = [500, 500, 500]
    parked(world)
    told.deliver_until_done(world, 3, receiver)
    ((step,),) = (told.steps_of(run) for run in told.deliveries(world))
    assert step.status == "in_doubt"


def test_one_channel_that_fails_keeps_no_other_from_being_told(
    world: World, receiver: Receiver
) -> None:
    told.channel(world, receiver.url, kinds=["opened"])
    with receiving() as broken:
        told.channel(world, broken.url, name="Broken", kinds=["opened"])
        broken.moods = [400]
        parked(world)
        told.tell(world)
        assert len(broken.calls) == 1
    assert len(receiver.taken) == 1


def test_a_message_through_apprise_says_what_and_how_much_and_links_to_the_page(
    world: World, receiver: Receiver
) -> None:
    url = receiver.url.replace("http://", "json://")
    told.channel(world, url, way="message", kinds=["opened"], key="")
    gate = parked(world)
    told.tell(world)
    (said,) = bodies(receiver)
    assert said["title"] == "Please decide: €98.70 to GB29NWBK60161331926810"
    assert f"Look and decide here: http://127.0.0.1:8000/gates/{gate.id}/" in said["message"]
    notice = Notice.objects.get()
    assert f"Digest phrase: {notice.facts['phrase']}" in said["message"]
    assert str(notice.id) in said["message"]
    assert len(re.findall(r"https?://", said["message"])) == 1


# Whose it is


def test_the_gatekeeper_starts_no_other_run_and_nobody_else_starts_these(world: World) -> None:
    run = world.start("adding", numbers=[1])
    born = (
        "INSERT INTO runs_run (id, tenant, workflow, version, status, input, requested_by_id,"
        " seed, waiting_for, progress_done, progress_total, progress_note, cancel_requested_by,"
        " steered_because, depth, is_detached, awaited, awaits_any) SELECT gen_random_uuid(),"
        " tenant, '{}', version, 'ready', input, requested_by_id, seed, '', 0, 0, '', '', '', 0,"
        " false, awaited, awaits_any FROM runs_run WHERE id = %s"
    )
    for role, workflow in (
        ("gatekeeper", "adding"),
        ("web", "placet.notify"),
        ("worker", "placet.notify"),
    ):
        answer = refusal(world, f"placet_{role}", (born.format(workflow), [run.id]))
        assert f"run birth: {role} does not start runs of {workflow}" in answer


def test_an_agent_cannot_use_the_tool_that_tells(world: World, receiver: Receiver) -> None:
    told.channel(world, receiver.url)
    run = world.start("adding", numbers=[1])
    deliver = workflows.deliver
    answer = refusal(
        world,
        "placet_worker",
        (
            "INSERT INTO runs_step (id, tenant, run_id, position, kind, name, effect, is_money,"
            " is_remote, declaration_id, status, arguments, digest, key, attempt, failures,"
            " held_because, created_at, deaths, unknowns) VALUES (gen_random_uuid(), %s, %s, 77,"
            " 'call', 'placet.deliver', 'keyed', false, true, %s, 'ready', '{}', '', 'k', 0, 0,"
            " '', now(), 0, 0)",
            [world.tenant, run.id, deliver.declaration_digest],
        ),
    )
    assert "step birth: placet.deliver is a step of Placet itself" in answer


def test_people_cannot_start_it(world: World) -> None:
    from runs.errors import UnknownWorkflow

    with pytest.raises(UnknownWorkflow, match=r"no workflow called 'placet\.notify'"):
        world.start("placet.notify", notice="x", channels=[])


def test_its_run_is_the_requesters_and_asks_nobody_for_consent(
    world: World, receiver: Receiver
) -> None:
    told.channel(world, receiver.url)
    parked(world)
    told.tell(world)
    run = Run.objects.get(workflow="placet.notify")
    assert run.requested_by_id == world.alice.pk
    assert not Step.objects.filter(run=run, is_money=True).exists()
    assert not Gate.objects.filter(run=run).exists()


# What a policy says about reminding and escalating


def test_a_policys_own_times_and_groups_are_kept_to(world: World) -> None:
    """The column comes with policies as documents; without it, the limit of the room holds."""
    gate = parked(world)
    with as_role("placet_owner"):
        Reviewer.objects.create(tenant=world.tenant, group="directors", person=world.mallory)
    wanted = {
        "remind_after_seconds": 1,
        "escalation": {"after_seconds": 1, "groups": ["directors"]},
        "thresholds": [{"name": "one", "group": "payments", "role": None, "count": 1}],
    }
    with needing(gate, {"consent": wanted}) as superuser:
        superuser.execute("SELECT pg_sleep(1.1)")
        told.tell(world)
        told.tell(world)
        assert sorted(told.kinds(world)) == ["escalated", "opened", "reminder"]


def test_a_policy_that_never_reminds_does_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("approvals.limits.REMIND_AFTER_SECONDS", 1)
    gate = parked(world)
    threshold = {"name": "one", "group": "payments", "role": None, "count": 1}
    wanted = {"remind_after_seconds": 0, "thresholds": [threshold], "escalation": None}
    with needing(gate, {"consent": wanted}) as superuser:
        superuser.execute("SELECT pg_sleep(1.1)")
        told.sweep()
        assert told.kinds(world) == ["opened"]


def test_the_groups_that_an_escalation_adds_are_told_once_it_has_come(world: World) -> None:
    world.join("directors", world.mallory)
    escalation = {"after_seconds": 1, "groups": ["directors"]}
    gate = gate_of(world, {"group": "payments", "count": 2}, escalation=escalation)
    told.sweep()
    with admin() as superuser:
        superuser.execute("SELECT pg_sleep(1.1)")
    told.sweep()
    people = {notice.kind: notice.people for notice in Notice.objects.filter(gate=gate)}
    members = [world.bob.pk, world.carol.pk]
    assert people == {"opened": members, "escalated": [*members, world.mallory.pk]}


def test_who_is_asked_by_a_role_is_told_as_members_of_a_group_are(world: World) -> None:
    """Not the reviewer who asked for it, and nobody who joined since: they do not decide."""
    world.publish(rule({"role": "reviewer", "count": 1}, {"group": "treasury", "count": 1}))
    world.join("treasury", world.dave)
    world.start("paying", by=world.mallory, amounts=[9870])
    world.settle()
    with as_role("placet_owner"):
        set_roles(world.erin, {"admin", "reviewer"})
    world.join("treasury", world.alice)
    told.sweep()
    opened = Notice.objects.get(kind="opened")
    assert opened.people == [world.bob.pk, world.carol.pk, world.dave.pk]


@contextmanager
def needing(gate: Gate, needs: dict[str, object]) -> Iterator[psycopg.Connection[object]]:
    """The gate as a policy document will have it open."""
    with admin() as superuser:
        has = "SELECT FROM information_schema.columns WHERE table_name = 'approvals_gate'"
        was_there = superuser.execute(f"{has} AND column_name = 'needs'").fetchone() is not None
        superuser.execute("ALTER TABLE approvals_gate ADD COLUMN IF NOT EXISTS needs jsonb")
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE approvals_gate SET needs = %s WHERE id = %s", [json.dumps(needs), gate.id]
        )
        try:
            yield superuser
        finally:
            if not was_there:
                superuser.execute("ALTER TABLE approvals_gate DROP COLUMN needs")


def test_a_sweep_over_ten_thousand_open_gates_is_quick(world: World) -> None:
    """All of them told: each pass looks at them again, and finds nothing."""
    gate = parked(world)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        columns = ", ".join(
            f'"{f.column}"' for f in Gate._meta.concrete_fields if f.name not in ("id", "step")
        )
        superuser.execute(
            f"INSERT INTO approvals_gate (id, step_id, {columns}) SELECT gen_random_uuid(),"
            f" gen_random_uuid(), {columns} FROM approvals_gate, generate_series(1, 10000)"
            " WHERE id = %s",
            [gate.id],
        )
        superuser.execute(
            "INSERT INTO approvals_notice (id, tenant, gate_id, kind, subject, happened_at, facts,"
            " people, channels, writer) SELECT gen_random_uuid(), tenant, id, 'opened', '',"
            " opened_at, '{}', '[]', '[]', '' FROM approvals_gate"
        )
        superuser.execute("ANALYZE approvals_gate, approvals_notice")
    seconds = []
    for _ in range(5):
        before = time.monotonic()
        assert told.sweep() == 0
        seconds.append(time.monotonic() - before)
    print(f"a sweep over 10,000 gates: {sorted(seconds)[2] * 1000:.0f} ms")
    assert sorted(seconds)[2] < 1.5


# What the tool itself believes


def test_the_tool_tells_a_channel_only_of_what_is_addressed_to_it(
    world: World, receiver: Receiver
) -> None:
    """Whatever arguments somebody gave the step: the notice's own row says who is told."""
    wanted = told.channel(world, receiver.url, kinds=["opened"])
    other = told.channel(world, receiver.url, name="Other", kinds=["failed"])
    parked(world)
    told.sweep()
    notice = Notice.objects.get()
    secret = {"url": receiver.url, "key": KEY}
    for given in (
        {"notice": str(notice.id), "channel": str(other.id)},
        {"notice": str(new_id()), "channel": str(wanted.id)},
    ):
        with as_role("placet_executor"), pytest.raises(Refusal, match="There is no such notice"):
            sending.deliver(**given, secret=secret)
    assert receiver.calls == []
    with as_role("placet_executor"):
        sending.deliver(notice=str(notice.id), channel=str(wanted.id), secret=secret)
    assert list(receiver.taken) == [str(notice.id)]


def test_each_part_of_an_address_is_kept_out_of_what_leaves() -> None:
    """A library logs a path without its host, or a password without its user."""
    parts = ("operations", "Hn3yGj8U%2FV5e", "T0ken-of-the-room", "Qk71mmPz99")
    url = f"https://{parts[0]}:{parts[1]}@chat.example.com/{parts[2]}/x?as=y&k={parts[3]}"
    said = f"POST /{parts[2]}/x?as=y&k={parts[3]} as {parts[0]} with Hn3yGj8U/V5e failed"
    with sending.hiding(url):
        scrubbed = redaction.scrub_text(said)
    for secret in (*parts, "Hn3yGj8U/V5e", "T0ken"):
        assert secret not in scrubbed
    assert "failed" in scrubbed
    assert redaction.scrub_text(said) == said


def test_a_notice_is_plain_text_in_which_nothing_hides() -> None:
    """What comes from arguments is on lines of its own: no line break makes another line."""
    facts = {
        "tool": "pay",
        "workflow": "paying",
        "amount_minor": 100,
        "currency": "EUR",
        "exponent": 2,
        "payee": "GB29\u202eNWBK\nAPPROVE HERE: https://evil.example",
        "payee_name": "Ann\u200b\x1b[31m" + "x" * 400,
        "requester": "alice",
        "expires_at": "2026-11-21T12:00:00+00:00",
        "status": "open",
        "phrase": "calm red otter walks",
        "decisions": [],
    }
    notice = Notice(kind="opened", facts=facts, gate_id=new_id())
    text = payloads.text(notice)
    assert not any(words.is_hidden(c) for c in text)
    lines = text.split("\n")
    assert "Account: GB29\ufffdNWBK APPROVE HERE: https://evil.example" in lines
    assert max(map(len, lines)) < 400
    assert "Open until 21 Nov 2026 12:00 UTC" in lines
