"""A person's notices, and the channels of a tenant: shown, added, tested, paused, removed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from approvals.models import Channel, Decision, Gate, Notice
from console.models import AuditEntry
from console.notices import payloads
from credentials.broker import VaultProvider
from credentials.models import Scope, Secret
from runs import bulk, effects
from runs.models import Run
from tests.approvals import told
from tests.approvals.receiver import KEY, Receiver, receiving
from tests.demo.played import vault_identity
from tests.harness import World
from tests.pages import visitors

ADDED = {"name": "Finance", "way": "webhook", "kinds": ["opened", "decided"]}


@pytest.fixture
def receiver(world: World) -> Iterator[Receiver]:
    effects.plug_credentials(VaultProvider())
    with receiving() as outside, vault_identity(world.servers, "web"):
        yield outside
    effects.plug_credentials(None)


def add(world: World, address: str, /, **given: object) -> visitors.Page:
    erin = visitors.visit_as(world.erin)
    asked = ADDED | {"url": address, "key": KEY} | given
    answer = erin.post("/settings/notices/add/", **asked)
    if answer.status_code == 302:
        answer = erin.get("/settings/notices/")
    return visitors.Page(answer)


# A person's own list


def test_a_person_finds_what_concerns_them_and_nothing_else(world: World) -> None:
    gate = world.gates(world.park_at_gates(9870))[0]
    told.sweep()
    mine = visitors.Page(visitors.visit_as(world.bob).get("/notices/"))
    assert "Please decide €98.70 to GB29NWBK60161331926810" in mine.text
    assert [a.attributes["href"] for a in mine.all("a") if "data-row" in a.attributes] == [
        f"/gates/{gate.id}/"
    ]
    for other in (world.alice, world.mallory, world.dave):
        page = visitors.Page(visitors.visit_as(other).get("/notices/"))
        assert "98.70" not in page.text and "No notices" in page.text


def test_a_kind_can_be_muted_but_not_that_somebody_is_asked(world: World) -> None:
    gate = world.gates(world.park_at_gates(9870))[0]
    told.sweep()
    bob = visitors.visit_as(world.bob)
    bob.post("/notices/mute/", kinds=[])
    world.decide(gate, world.bob)
    world.settle()
    told.sweep()
    page = visitors.Page(bob.get("/notices/"))
    # What was asked stays, and says that it is over.
    assert "Please decide" not in page.text
    assert page.text.count("Approved €98.70") == 1
    hers = visitors.Page(visitors.visit_as(world.alice).get("/notices/"))
    assert hers.text.count("Approved €98.70") == 1
    bob.post("/notices/mute/", kinds=["decided"])
    assert visitors.Page(bob.get("/notices/")).text.count("Approved €98.70") == 2


def test_opening_every_link_of_a_notice_decides_nothing(world: World, receiver: Receiver) -> None:
    """As mail scanners do, signed in or not; the link holds the gate's id and nothing to use."""
    told.channel(world, receiver.url)
    gate = world.gates(world.park_at_gates(9870))[0]
    told.tell(world)
    notice = Notice.objects.get()
    link = payloads.link(notice)
    assert link == f"http://127.0.0.1:8000/gates/{gate.id}/"
    visited = [visitors.nobody(), visitors.visit_as(world.bob)]
    before = visitors.written()
    path = link.removeprefix("http://127.0.0.1:8000")
    for visitor in visited:
        for address in (path, f"{path}decide/", f"{path}comments/"):
            for _ in range(2):
                visitor.get(address)
    told.tell(world)
    assert visitors.written() == before
    assert Decision.objects.count() == 0
    assert Gate.objects.get().status == "open"


# Channels


def test_a_channel_is_added_tested_and_says_what_became_of_it(
    world: World, receiver: Receiver
) -> None:
    assert "No channels yet" in visitors.Page(visitors.visit_as(world.erin).get(
        "/settings/notices/")).text  # fmt: skip
    assert "Finance was added." in add(world, receiver.url).text
    channel = Channel.objects.get()
    assert channel.kinds == ["opened", "decided"]
    secret = Secret.objects.get()
    assert (secret.path, Scope.objects.get().tool) == (f"notices/{channel.id}", "placet.deliver")
    erin = visitors.visit_as(world.erin)
    erin.post(f"/settings/notices/{channel.id}/test/")
    told.tell(world)
    (taken,) = receiver.taken.values()
    assert taken["type"] == "channel.test"
    page = visitors.Page(erin.get("/settings/notices/"))
    assert "Test Delivered" in page.text
    part = erin.get(f"/settings/notices/?of={channel.id}", part=True).content.decode()
    assert "Delivered" in part and "<form" not in part
    assert erin.get("/settings/notices/?of=none", part=True).status_code == 404
    assert told.sweep() == 0
    actions = AuditEntry.objects.filter(action__startswith="channel").order_by("at")
    assert list(actions.values_list("action", flat=True)) == ["channel_added", "channel_tested"]


def test_the_last_error_of_a_channel_is_said_in_words(world: World, receiver: Receiver) -> None:
    add(world, receiver.url)
    channel = Channel.objects.get()
    receiver.moods = [404]
    visitors.visit_as(world.erin).post(f"/settings/notices/{channel.id}/test/")
    told.tell(world)
    page = visitors.Page(visitors.visit_as(world.erin).get("/settings/notices/"))
    assert "Not delivered The receiver refused the notice (404)." in page.text


def test_neither_address_nor_key_is_shown_again_or_kept_in_the_database(
    world: World, receiver: Receiver
) -> None:
    page = add(world, receiver.url, name="")
    assert "type them again" in page.text
    add(world, receiver.url)
    erin = visitors.visit_as(world.erin)
    channel = Channel.objects.get()
    shown = [
        erin.get(path).content.decode()
        for path in ("/settings/notices/", "/secrets/", "/audit/", "/notices/")
    ]
    kept = [str(list(kind.objects.values())) for kind in (Channel, Secret, Scope, AuditEntry)]
    for text in (*shown, *kept, str(vars(channel)), *(e.text for e in page.elements)):
        assert "Wz81kQpL0canary" not in text and KEY not in text


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"url": "http://example.com/hook"}, "begins with https://"),
        ({"url": "https:///hook"}, "begins with https://"),
        ({"key": ""}, "The signing key is not one of Standard Webhooks"),
        ({"key": "whsec_"}, "The signing key is not one of Standard Webhooks"),
        ({"way": "message", "url": "carrier-pigeon://loft"}, "none that apprise knows"),
        ({"kinds": []}, "Choose at least one kind of notice."),
        ({"kinds": ["test"]}, "test is not one of the available choices"),
    ],
)
def test_a_channel_that_could_not_work_is_refused_in_words(
    world: World, receiver: Receiver, changed: dict[str, object], sentence: str
) -> None:
    assert sentence in add(world, receiver.url, **changed).text
    assert (Channel.objects.count(), Secret.objects.count()) == (0, 0)


def test_a_name_is_given_once_and_is_free_after_removal(world: World, receiver: Receiver) -> None:
    add(world, receiver.url)
    assert "There is a channel called Finance already." in add(world, receiver.url).text
    erin = visitors.visit_as(world.erin)
    channel = Channel.objects.get()
    asked = visitors.Page(erin.post(f"/settings/notices/{channel.id}/remove/"))
    assert "Remove the channel Finance?" in asked.text
    assert Channel.objects.get().removed_at is None
    erin.post(f"/settings/notices/{channel.id}/remove/", confirmed="yes")
    assert Scope.objects.count() == 0
    assert "Finance was added." in add(world, receiver.url).text


def test_a_channel_that_was_removed_gets_nothing_that_was_on_its_way(
    world: World, receiver: Receiver
) -> None:
    add(world, receiver.url)
    world.park_at_gates(9870)
    told.sweep()
    channel = Channel.objects.get()
    erin = visitors.visit_as(world.erin)
    erin.post(f"/settings/notices/{channel.id}/remove/", confirmed="yes")
    told.tell(world)
    assert receiver.calls == []
    (run,) = told.deliveries(world)
    assert run.status == "failed"


def test_pausing_and_choosing_kinds_say_what_they_did(world: World, receiver: Receiver) -> None:
    add(world, receiver.url)
    channel = Channel.objects.get()
    erin = visitors.visit_as(world.erin)
    for path, form, sentence in (
        ("pause", {}, "Finance is paused: nothing goes there until it is resumed."),
        ("resume", {}, "Finance gets notices again"),
        ("kinds", {"kinds": ["failed"]}, "What goes to Finance was changed."),
        ("kinds", {}, "Choose at least one kind of notice, or pause the channel."),
        ("test", {}, "A test notice is on its way to Finance."),
    ):
        erin.post(f"/settings/notices/{channel.id}/{path}/", **form)
        assert sentence in visitors.Page(erin.get("/settings/notices/")).text
    assert Channel.objects.get().kinds == ["failed"]
    assert erin.post(f"/settings/notices/{channel.id}/explode/").status_code == 404


def test_another_tenants_admin_finds_no_channel_of_ours(world: World, receiver: Receiver) -> None:
    add(world, receiver.url)
    channel = Channel.objects.get()
    olivia = visitors.visit_as(visitors.make_person("olivia", "admin", tenant="elsewhere"))
    assert olivia.post(f"/settings/notices/{channel.id}/test/").status_code == 404
    assert "No channels yet" in olivia.get("/settings/notices/").content.decode()
    assert Channel.objects.get().tested_at is None


# Runs that deliver


def test_runs_that_deliver_are_left_out_of_the_runs_unless_asked_for(
    world: World, receiver: Receiver
) -> None:
    told.channel(world, receiver.url)
    world.park_at_gates(9870)
    told.tell(world)
    own = Run.objects.get(workflow="placet.notify")
    alice = visitors.visit_as(world.alice)
    assert f"/runs/{own.id}/" not in alice.get("/runs/").content.decode()
    shown = alice.get("/runs/", workflow="placet.notify").content.decode()
    assert f"/runs/{own.id}/" in shown
    assert alice.get(f"/runs/{own.id}/").status_code == 200
    receiver.moods = [(429, {"retry-after": "60"})]
    gate = world.gates(world.park_at_gates(500))[0]
    told.tell(world)
    for workflow, count in (("", 2), ("placet.notify", 1)):
        asked = bulk.Filter(workflow=workflow, requested_by="alice")
        assert bulk.find(tenant=world.tenant, filter=asked).count == count, workflow
    assert gate.status == "open"
    forked = alice.post(f"/runs/{own.id}/fork/", at="0", confirmed="yes")
    assert forked.status_code == 302
    page = visitors.Page(alice.get(f"/runs/{own.id}/"))
    assert "This run cannot be forked. There is no workflow called 'placet.notify'." in page.text
    start = visitors.Page(alice.get("/runs/start/"))
    assert "placet.notify" not in start.text
