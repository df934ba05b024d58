"""The page of one's keys: what is shown of each, what is enrolled, who may revoke."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from approvals import changes
from approvals.enrolment import introduction_challenge
from approvals.models import Change, Key, KeyRequest, KeyRevocation
from console.models import AuditEntry
from console.pages.passkeys import to_text
from tests.approvals.authenticator import KeyFile, Passkey
from tests.approvals.enrolled import enrol, revoke, season
from tests.harness import World
from tests.pages import visitors
from tests.pages.visitors import Page, Visitor


def at_its_name(person: Any) -> Visitor:
    """Somebody who opens Placet where passkeys work."""
    visitor = visitors.visit_as(person)
    visitor.client.defaults["HTTP_HOST"] = "localhost:8000"
    return visitor


@pytest.fixture
def bob(world: World) -> Visitor:
    return at_its_name(world.bob)


def line_of(device: KeyFile) -> str:
    return "ed25519:" + base64.b64encode(device.public.public_key).decode()


def challenge_on(page: Any) -> str:
    return next(
        e.attributes["data-challenge"]
        for e in Page(page).elements
        if "data-challenge" in e.attributes
    )


def answered(page: Any, device: Passkey) -> dict[str, str]:
    """What `passkeys.js` would post."""
    challenge = challenge_on(page)
    enrolment = device.enrol(challenge.encode())
    return {
        "kind": "passkey",
        "challenge": challenge,
        "client_data": to_text(enrolment.client_data),
        "attestation": to_text(enrolment.attestation),
    }


def test_without_keys_the_page_says_what_to_do(bob: Visitor) -> None:
    text = Page(bob.get("/keys/")).text
    assert "No keys yet" in text and "the first one counts at once" in text


def test_a_passkey_is_enrolled_and_its_owner_is_told(world: World, bob: Visitor) -> None:
    device = Passkey()
    form = answered(bob.get("/keys/"), device)

    answer = bob.post("/keys/enrol/", name="Laptop", **form)

    assert (answer.status_code, answer.headers["Location"]) == (302, "/keys/")
    assert "Laptop is with the gatekeeper, which verifies it." in Page(bob.get("/keys/")).text
    world.keep_gates()
    text = Page(bob.get("/keys/", part=True)).elements
    shown = Page(bob.get("/keys/")).text
    assert text and "Fresh" in shown and "Laptop" in shown and "never used" in shown
    assert "with the gatekeeper" not in shown
    home = Page(bob.get("/")).text
    assert "Enrolled in your name: Laptop" in home
    assert "Enrolled in your name" not in Page(at_its_name(world.carol).get("/")).text
    entry = AuditEntry.objects.get(action="key_enrolled")
    assert (entry.actor, entry.subject) == ("bob", "Key Laptop")


def test_a_key_file_is_enrolled_by_its_public_key_alone(world: World, bob: Visitor) -> None:
    device = KeyFile()
    answer = bob.post("/keys/enrol/", kind="file", name="Terminal", public_key=line_of(device))
    assert answer.status_code == 302
    world.keep_gates()
    assert bytes(Key.objects.get(person=world.bob).public_key) == device.public.public_key


def test_a_second_passkey_is_signed_for_by_the_first(world: World, bob: Visitor) -> None:
    first, second = Passkey(), Passkey()
    older = enrol(world.bob, first)
    form = answered(bob.get("/keys/"), second)
    enrolment = second.enrol(form["challenge"].encode())
    signed = first.sign(
        introduction_challenge(tenant=world.tenant, person_id=world.bob.pk, enrolment=enrolment)
    )
    form |= {
        "attestation": to_text(enrolment.attestation),
        "older_key": str(older.pk),
        "older_client_data": to_text(signed.client_data),
        "older_authenticator_data": to_text(signed.authenticator_data),
        "older_signature": to_text(signed.signature),
    }
    wrong = form | {"older_signature": to_text(second.sign(b"x" * 32).signature)}

    refused = bob.post("/keys/enrol/", name="Phone", **wrong)
    assert (refused.status_code, "did not sign this" in Page(refused).text) == (422, True)
    assert bob.post("/keys/enrol/", name="Phone", **form).status_code == 302

    world.keep_gates()
    assert Key.objects.get(name="Phone").is_introduced


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": ""}, "This field is required."),
        ({"name": "a\u202eb"}, "A key needs a name of 1 to 60 characters."),
        ({"attestation": ""}, "it needs JavaScript for that"),
        ({"attestation": "!"}, "What the browser sent cannot be read; nothing was enrolled."),
        ({"challenge": "x"}, "This page was open for too long, or is not yours"),
        ({"client_data": "e30"}, "was asked for None"),
    ],
    ids=str,
)
def test_what_cannot_be_enrolled_is_refused_in_words(
    world: World, bob: Visitor, changed: dict[str, str], said: str
) -> None:
    form = answered(bob.get("/keys/"), Passkey()) | {"name": "Laptop"}

    refused = bob.post("/keys/enrol/", **(form | changed))

    assert refused.status_code == 422
    assert said in Page(refused).text
    assert not KeyRequest.objects.exists()
    assert bob.post("/keys/enrol/", **form).status_code == 302


def test_a_challenge_is_for_one_person_and_an_hour(
    world: World, bob: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = answered(bob.get("/keys/"), Passkey()) | {"name": "Laptop"}
    carol = at_its_name(world.carol)
    assert "is not yours" in Page(carol.post("/keys/enrol/", **form)).text
    monkeypatch.setattr("approvals.limits.KEY_CHALLENGE_SECONDS", -1)
    assert "open for too long" in Page(bob.post("/keys/enrol/", **form)).text
    monkeypatch.undo()
    assert bob.post("/keys/enrol/", **form).status_code == 302


@pytest.mark.parametrize("line", ["", "x", "ed25519:!", "ed25519:AAAA", "rsa:AAAA"])
def test_what_is_no_public_key_is_refused(bob: Visitor, line: str) -> None:
    refused = bob.post("/keys/enrol/", kind="file", name="Terminal", public_key=line)
    assert refused.status_code == 422
    assert (
        "public key" in Page(refused).text and "as `manage.py key` prints it" in Page(refused).text
    )


def test_the_list_says_what_each_key_may_do(world: World, bob: Visitor) -> None:
    season(enrol(world.bob, Passkey(), "Seasoned"))
    revoke(enrol(world.bob, KeyFile(), "Lost"), world.bob)
    enrol(world.bob, KeyFile(), "Alone")
    shown = Page(bob.get("/keys/")).texts("li")
    by_name = {name: next(t for t in shown if name in t) for name in ("Seasoned", "Lost", "Alone")}
    assert by_name["Seasoned"].startswith("SignsSeasoned")
    assert by_name["Lost"].startswith("RevokedLost") and "it signs nothing" in by_name["Lost"]
    assert by_name["Alone"].startswith("WaitingAlone") and "Signs nothing until" in by_name["Alone"]


def test_a_request_that_the_gatekeeper_refused_says_why(world: World, bob: Visitor) -> None:
    device = KeyFile()
    bob.post("/keys/enrol/", kind="file", name="Mine", public_key=line_of(device))
    carol = at_its_name(world.carol)
    carol.post("/keys/enrol/", kind="file", name="Also mine", public_key=line_of(device))
    world.keep_gates()
    text = Page(carol.get("/keys/")).text
    assert "Also mine was not enrolled" in text and "This key is enrolled already." in text


def test_a_key_is_revoked_after_a_question(world: World, bob: Visitor) -> None:
    key = enrol(world.bob, KeyFile(), "Desk")

    asked = bob.post("/keys/revoke/", key=key.pk)
    assert "Revoke the key Desk?" in Page(asked).text
    assert not KeyRevocation.objects.exists()
    done = bob.post("/keys/revoke/", key=key.pk, confirmed="yes")

    assert done.status_code == 302
    assert "The key Desk is revoked: it signs nothing" in Page(bob.get("/keys/")).text
    assert KeyRevocation.objects.get().person == world.bob
    entry = AuditEntry.objects.get(action="key_revoked")
    assert (entry.actor, entry.subject) == ("bob", "Key Desk of bob")
    bob.post("/keys/revoke/", key=key.pk, confirmed="yes")
    assert AuditEntry.objects.filter(action="key_revoked").count() == 1


def test_an_admin_revokes_the_keys_of_others_and_nobody_else_does(world: World) -> None:
    key = enrol(world.bob, KeyFile(), "Desk")
    carol, erin = at_its_name(world.carol), visitors.visit_as(world.erin)
    stranger = visitors.visit_as(visitors.make_person("olivia", "admin", tenant="elsewhere"))

    for other in (carol, stranger):
        assert other.post("/keys/revoke/", key=key.pk, confirmed="yes").status_code == 404
        assert "Desk" not in Page(other.get("/keys/")).text
    assert "bob: Desk" in Page(erin.get("/keys/")).text
    assert "Revoke the key Desk of bob?" in Page(erin.post("/keys/revoke/", key=key.pk)).text
    assert erin.post("/keys/revoke/", key=key.pk, confirmed="yes").status_code == 302

    assert KeyRevocation.objects.get().person == world.erin


def test_at_a_number_the_page_says_where_passkeys_work(world: World) -> None:
    visitor = visitors.visit_as(world.bob)
    with visitors.as_role("placet_web"):
        answer = visitor.client.get("/keys/", headers={"Host": "127.0.0.1:8000"})
    page = Page(answer)
    assert "Passkeys need a name; open this page at http://localhost:8000/keys/" in page.text
    assert not [e for e in page.elements if "data-passkey-form" in e.attributes]
    with visitors.as_role("placet_web"):
        named = visitor.client.get("/keys/", headers={"Host": "localhost:8000"})
    assert [e for e in Page(named).elements if "data-passkey-form" in e.attributes]


# Vouching


def test_an_admin_proposes_to_vouch_and_a_second_one_agrees(world: World) -> None:
    key = enrol(world.bob, Passkey(), "Laptop")
    season(enrol(world.carol, Passkey(), "Old"))
    frank = visitors.visit_as(visitors.make_person("frank", "admin", tenant=world.tenant))
    erin, bob = visitors.visit_as(world.erin), at_its_name(world.bob)
    page = Page(erin.get("/keys/"))
    links = [e.attributes["href"] for e in page.all("a") if "Vouch" in e.text]
    assert links == [f"/keys/{key.pk}/vouch/"], "only the fresh one waits"
    assert "Vouch" not in Page(bob.get("/keys/")).text

    asked = Page(erin.get(links[0]))
    assert asked.texts("h1") == ["Vouch for the key Laptop of bob?"]
    assert "Say why" in Page(erin.post(links[0], confirmed="yes")).text
    answer = erin.post(links[0], confirmed="yes", reason="He called me.")
    change = Change.objects.get()
    assert answer.headers["Location"] == f"/changes/{change.pk}/"
    again = erin.post(links[0], confirmed="yes", reason="He called me.")
    assert "Nothing was proposed. The same has been proposed already" in Page(again).text

    page = Page(frank.get(f"/changes/{change.pk}/"))
    assert page.texts("h1") == ["Vouch for the key Laptop of bob"]
    assert "Agree only when bob told you themself that this key is theirs" in page.text
    digest = bytes(change.digest).hex()
    frank.post(f"/changes/{change.pk}/say/", verdict="approve", digest=digest)
    with visitors.as_role("placet_gatekeeper"):
        changes.sweep()
    key.refresh_from_db()
    assert key.vouched_at is not None
    assert "Vouch" not in [text.strip() for text in Page(erin.get("/keys/")).texts("a")]
    assert "SignsLaptop" in Page(bob.get("/keys/")).texts("li")[-1]


def test_an_admin_is_told_that_their_own_key_is_for_others_to_vouch_for(world: World) -> None:
    key = enrol(world.erin, Passkey(), "Laptop")
    answer = at_its_name(world.erin).post(f"/keys/{key.pk}/vouch/", reason="It is mine.")
    assert answer.status_code == 422 and not Change.objects.exists()
    assert "Nothing was proposed. It is a key of yours, so two other" in Page(answer).text
