"""Signing in and out: plain, limited, without sign-up."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import ProgrammingError
from django.test import override_settings

from console import settings as said
from console.models import AuditEntry, User
from tests.harness import PASSWORD, World, as_role
from tests.pages import visitors
from tests.pages.test_markup import check
from tests.pages.visitors import Page


def try_password(visitor: visitors.Visitor, username: str, password: str) -> Any:
    return visitor.post("/accounts/login/", login=username, password=password)


def test_the_right_password_leads_home_and_into_the_audit(world: World) -> None:
    visitor = visitors.nobody()

    answer = try_password(visitor, "bob", PASSWORD)

    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert visitor.get("/").status_code == 200
    assert AuditEntry.objects.get().action == "signed_in"


class WeakArgon2(Argon2PasswordHasher):
    """As an older release may have written hashes."""

    time_cost, memory_cost, parallelism = 1, 1024, 1


@pytest.mark.parametrize("hasher", [Argon2PasswordHasher, WeakArgon2])
def test_signing_in_needs_no_right_to_write_passwords(
    world: World, hasher: type[Argon2PasswordHasher]
) -> None:
    encoded = hasher().encode(PASSWORD, "saltsalt")
    with as_role("placet_owner"):
        User.objects.filter(pk=world.bob.pk).update(password=encoded)
    with as_role("placet_web"), pytest.raises(ProgrammingError, match="permission denied"):
        User.objects.filter(pk=world.bob.pk).update(password=encoded)

    with override_settings(PASSWORD_HASHERS=said.PASSWORD_HASHERS):
        answer = try_password(visitors.nobody(), "bob", PASSWORD)
        wrong = try_password(visitors.nobody(), "bob", "wrong")

    assert (answer.status_code, wrong.status_code) == (302, 200)
    assert User.objects.get(pk=world.bob.pk).password == encoded


def test_a_wrong_password_is_said_in_one_sentence_and_keeps_the_name(world: World) -> None:
    answer = try_password(visitors.nobody(), "bob", "wrong")

    page = Page(answer)
    assert "Username and password do not match." in page.text
    assert page.field("login").attributes["value"] == "bob"
    assert page.field("password").attributes.get("value", "") == ""


def test_too_many_attempts_close_the_door_for_a_while(world: World) -> None:
    visitor = visitors.nobody()
    for _ in range(10):
        try_password(visitor, "bob", "wrong")

    locked = try_password(visitor, "bob", PASSWORD)

    assert "_auth_user_id" not in visitor.client.session
    assert "too many" in Page(locked).text.lower()


def test_nobody_is_locked_out_by_what_others_try_elsewhere(world: World) -> None:
    stranger = visitors.nobody()
    for number in range(30):
        stranger.client.defaults["REMOTE_ADDR"] = f"203.0.113.{number}"
        try_password(stranger, "bob", "wrong")

    answer = try_password(visitors.nobody(), "bob", PASSWORD)

    assert (answer.status_code, answer.headers["Location"]) == (302, "/")


def test_wrong_passwords_for_one_name_have_an_end_from_wherever_they_come(world: World) -> None:
    stranger = visitors.nobody()
    for number in range(101):
        stranger.client.defaults["REMOTE_ADDR"] = f"203.0.113.{number}"
        answer = try_password(stranger, "bob", "wrong")

    assert "too many" in Page(answer).text.lower()


def test_too_many_requests_get_a_page_that_says_what_to_do(world: World) -> None:
    visitor = visitors.nobody()
    for _ in range(30):
        try_password(visitor, "", "")

    locked = try_password(visitor, "", "")

    assert locked.status_code == 429
    check(locked)
    assert "Wait five minutes" in Page(locked).text


def test_somebody_who_is_not_active_stays_out(world: World) -> None:
    with as_role("placet_owner"):
        world.bob.is_active = False
        world.bob.save(update_fields=["is_active"])
    visitor = visitors.nobody()

    try_password(visitor, "bob", PASSWORD)

    assert "_auth_user_id" not in visitor.client.session


def test_signing_in_leads_where_somebody_wanted_to_go_but_never_elsewhere(world: World) -> None:
    inside = visitors.nobody().post(
        "/accounts/login/?next=/runs/", login="bob", password=PASSWORD, next="/runs/"
    )
    outside = visitors.nobody().post(
        "/accounts/login/", login="bob", password=PASSWORD, next="https://evil.example/"
    )

    assert inside.headers["Location"] == "/runs/"
    assert outside.headers["Location"] == "/"


def test_signing_out_asks_first_when_it_is_only_a_link(world: World, bob: Any) -> None:
    asked = bob.get("/accounts/logout/")
    assert "Sign out" in Page(asked).texts("button")
    assert bob.get("/").status_code == 200

    bob.post("/accounts/logout/")
    assert bob.get("/").status_code == 302


@pytest.mark.parametrize("path", ["signup/", "password/reset/", "password/change/", "email/"])
def test_nothing_else_of_accounts_is_there(world: World, path: str) -> None:
    assert visitors.nobody().get(f"/accounts/{path}").status_code == 404


def test_a_part_of_a_page_leaves_the_page_as_it_is_when_the_session_has_ended(world: World) -> None:
    answer = visitors.nobody().get("/inbox/", part=True)

    assert answer.status_code == 401
    assert not {"HX-Refresh", "HX-Redirect", "Location"} & set(answer.headers)
    assert b"Username" not in answer.content


@pytest.mark.parametrize("address", ["https://evil.example/", "//evil.example", "javascript:0"])
def test_the_theme_is_kept_and_leads_back_into_the_console_only(address: str) -> None:
    answer = visitors.nobody().post("/theme/", theme="dark", next=address)

    assert answer.headers["Location"] == "/"
    assert answer.cookies["placet_theme"].value == "dark"
