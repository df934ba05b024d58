"""What the table of sessions is worth to somebody who has the SQL rights of the web process."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as PlainStore
from django.contrib.sessions.models import Session
from django.core import signing
from django.utils import timezone

from console.models import User
from console.sessions import SessionStore, row_key
from tests.harness import PASSWORD, World, as_role
from tests.pages.visitors import Visitor, nobody, visit_as

KEY = "a0key0that0the0thief0has0chosen0"
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture(autouse=True)
def _no_sessions(world: World) -> None:
    with as_role("placet_owner"):
        Session.objects.all().delete()


def with_cookie(key: str) -> Visitor:
    visitor = nobody()
    visitor.client.cookies[settings.SESSION_COOKIE_NAME] = key
    return visitor


def cookie(visitor: Visitor) -> str:
    return str(visitor.client.cookies[settings.SESSION_COOKIE_NAME].value)


def is_signed_in(visitor: Visitor) -> bool:
    answer = visitor.get("/inbox/")
    assert answer.status_code in (200, 302)
    return answer.status_code == 200


def insert(session_key: str, session_data: str) -> None:
    """A row by the web process's own rights, which has to be able to write sessions."""
    tomorrow = timezone.now() + timedelta(days=1)
    with as_role("placet_web"):
        Session.objects.create(
            session_key=session_key, session_data=session_data, expire_date=tomorrow
        )


def facts_of(person: User) -> dict[str, str]:
    """All that a session says of somebody who is signed in."""
    return {
        SESSION_KEY: str(person.pk),
        BACKEND_SESSION_KEY: BACKEND,
        HASH_SESSION_KEY: person.get_session_auth_hash(),
    }


def test_the_settings_use_this_store() -> None:
    assert import_module(settings.SESSION_ENGINE).SessionStore is SessionStore


def test_what_stands_in_the_table_is_no_cookie(world: World) -> None:
    bob = visit_as(world.bob)
    row = Session.objects.get()

    assert is_signed_in(bob)
    assert cookie(bob) not in row.session_key + row.session_data
    assert not is_signed_in(with_cookie(row.session_key))


def test_a_row_that_somebody_makes_up_signs_nobody_in(world: World) -> None:
    salt = SessionStore(KEY).key_salt
    for key in (KEY, row_key(KEY)):
        insert(key, signing.dumps(facts_of(world.bob), key="not the secret key", salt=salt))

    assert not is_signed_in(with_cookie(KEY))


def test_a_row_as_django_itself_would_sign_it_signs_nobody_in(world: World) -> None:
    insert(row_key(KEY), PlainStore().encode(facts_of(world.bob)))

    assert not is_signed_in(with_cookie(KEY))


def test_the_data_of_a_session_count_under_their_own_key_only(world: World) -> None:
    bob, mallory = visit_as(world.bob), visit_as(world.mallory)
    of_bob = Session.objects.get(session_key=row_key(cookie(bob))).session_data
    insert(row_key(KEY), of_bob)
    with as_role("placet_web"):
        own = Session.objects.filter(session_key=row_key(cookie(mallory)))
        assert own.update(session_data=of_bob) == 1

    assert is_signed_in(bob)
    assert not is_signed_in(with_cookie(KEY))
    assert not is_signed_in(mallory)


def test_signing_in_makes_a_new_key_and_signing_out_deletes_its_row(world: World) -> None:
    insert(row_key(KEY), SessionStore(KEY).encode({"planted": True}))
    visitor = with_cookie(KEY)
    visitor.post("/accounts/login/", login="bob", password=PASSWORD)
    signed_in = cookie(visitor)
    assert signed_in != KEY and is_signed_in(visitor)
    assert not Session.objects.filter(session_key=row_key(KEY)).exists()

    visitor.post("/accounts/logout/")

    assert not is_signed_in(visitor) and not is_signed_in(with_cookie(signed_in))
    assert not Session.objects.filter(session_key=row_key(signed_in)).exists()


def test_a_session_ends_with_its_time(world: World) -> None:
    bob = visit_as(world.bob)
    with as_role("placet_web"):
        Session.objects.update(expire_date=timezone.now())

    assert not is_signed_in(bob)


@async_to_sync
async def keep_async() -> str:
    """A session made, read again, given another key and ended, as sockets do it."""
    store = SessionStore()
    await store.aset("colour", "green")
    await store.asave()
    first = str(store.session_key)
    assert await store.aexists(first)
    assert await SessionStore(first).aget("colour") == "green"
    await store.acycle_key()
    second = str(store.session_key)
    assert second != first and not await store.aexists(first)
    assert await SessionStore(second).aget("colour") == "green"
    await store.aset("colour", "blue")
    await store.asave()
    return second


@async_to_sync
async def end_async(key: str) -> None:
    await SessionStore(key).adelete()
    assert await SessionStore(key).aget("colour") is None
    assert not await SessionStore(key).aexists(key)


def test_the_asynchronous_half_keeps_the_same_rows(world: World) -> None:
    with as_role("placet_web"):
        key = keep_async()
        assert Session.objects.get().session_key == row_key(key)
        assert SessionStore(key).get("colour") == "blue"
        end_async(key)
        assert not Session.objects.exists()
