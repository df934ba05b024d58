"""What people do to channels: the right, the verb and the audit entry.

An address and its key go to the vault and nowhere else; a row says that the channel is there.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from approvals import limits, notices
from approvals.models import Channel
from console import access, audit
from console.models import User
from console.notices import sending
from credentials.models import Scope, Secret
from credentials.secrets import grant_scope, revoke_scope, write_secret
from runs import reserved
from runs.errors import Refusal
from runs.models import new_id

RIGHT = "channels.write"


class ChannelRefused(access.Refused):
    """The channel was not added or changed; the message says why."""


def find_channels(person: User) -> QuerySet[Channel]:
    """The channels of the tenant by name, without those that were removed."""
    access.require(person, "channels.view")
    found = Channel.objects.filter(tenant=person.tenant, removed_at__isnull=True)
    return found.select_related("created_by").order_by("name")


def access_channel(person: User, id: uuid.UUID | str) -> Channel:
    """The channel, for whoever may change it. Raises `access.NotFound`."""
    access.require(person, RIGHT)
    try:
        return find_channels(person).get(id=id)
    except (Channel.DoesNotExist, ValidationError):
        raise access.NotFound("There is no such channel.") from None


@sensitive_variables("url", "key", "fields")
def add_channel(
    person: User,
    *,
    name: str,
    way: str,
    kinds: Sequence[str],
    url: str,
    key: str = "",
    request: HttpRequest | None = None,
) -> Channel:
    """A new channel; its address goes to the vault first, and a crash leaves it there unused.

    Raises `ChannelRefused`, and what the vault refuses with.
    """
    access.require(person, RIGHT)
    _check(person, name, way, kinds)
    fields = _checked_address(way, url.strip(), key.strip())
    id = new_id()
    secret = write_secret(
        tenant=person.tenant,
        path=f"notices/{id}",
        fields=fields,
        description=f"The address of the channel {name}",
        person=person,
    )
    try:
        with transaction.atomic():
            channel = _insert(person, secret, id=id, name=name, way=way, kinds=_known(kinds))
            _record(person, "channel_added", channel, request, kinds=channel.kinds, way=way)
    except IntegrityError:
        raise ChannelRefused(f"There is a channel called {name} already.") from None
    return channel


def _insert(person: User, secret: Secret, **columns: Any) -> Channel:
    channel = Channel.objects.create(tenant=person.tenant, created_by=person, **columns)
    grant_scope(tenant=person.tenant, tool=reserved.DELIVER, secret=secret, person=person)
    return channel


def _check(person: User, name: str, way: str, kinds: Sequence[str]) -> None:
    if not name.strip() or len(name) > 63 or not name.isprintable():
        raise ChannelRefused("A channel needs a name of at most 63 characters.")
    if way not in Channel.Way.values:
        raise ChannelRefused("A channel is a webhook or a service for messages.")
    if not _known(kinds):
        raise ChannelRefused("Choose at least one kind of notice: else nothing would go there.")
    there = find_channels(person)
    if there.count() >= limits.MAX_CHANNELS:
        raise ChannelRefused(f"There are {limits.MAX_CHANNELS} channels already; remove one first.")
    if there.filter(name=name).exists():
        raise ChannelRefused(f"There is a channel called {name} already.")


def _known(kinds: Sequence[str]) -> list[str]:
    return [str(kind) for kind in notices.ABOUT_GATES if kind in kinds]


def _checked_address(way: str, url: str, key: str) -> dict[str, str]:
    """The fields of the secret. Neither an address nor a key is ever quoted in a refusal."""
    try:
        if way == Channel.Way.WEBHOOK:
            sending.check_webhook(url, key)
            return {"url": url, "key": key}
        sending.service_of(url)
        return {"url": url}
    except Refusal as refusal:
        raise ChannelRefused(str(refusal)) from None


def choose_kinds(
    person: User, id: uuid.UUID | str, kinds: Sequence[str], *, request: HttpRequest | None = None
) -> Channel:
    """Which kinds of notices go there from now on. Raises `ChannelRefused`."""
    channel = access_channel(person, id)
    if not _known(kinds):
        raise ChannelRefused("Choose at least one kind of notice, or pause the channel.")
    return _change(person, channel, "channel_changed", request, kinds=_known(kinds))


def turn(
    person: User, id: uuid.UUID | str, verb: str, *, request: HttpRequest | None = None
) -> Channel:
    """Pauses, resumes or removes a channel, or asks for a test notice there."""
    channel = access_channel(person, id)
    changes: dict[str, dict[str, Any]] = {
        "pause": {"paused_at": Now()},
        "resume": {"paused_at": None},
        "remove": {"removed_at": Now()},
        "test": {"tested_at": Now(), "tested_by": person},
    }
    if verb == "remove":
        _revoke(person, channel)
    said = {"pause": "paused", "resume": "resumed", "remove": "removed", "test": "tested"}[verb]
    return _change(person, channel, f"channel_{said}", request, **changes[verb])


def _revoke(person: User, channel: Channel) -> None:
    """No step may use its address any more: deliveries that wait are refused."""
    scopes = Scope.objects.filter(tenant=person.tenant, secret__path=f"notices/{channel.id}")
    for scope in scopes:
        revoke_scope(scope)


def _change(
    person: User, channel: Channel, action: str, request: HttpRequest | None, **columns: Any
) -> Channel:
    with transaction.atomic():
        Channel.objects.filter(pk=channel.pk, tenant=person.tenant).update(**columns)
        detail = {"kinds": columns["kinds"]} if "kinds" in columns else {}
        _record(person, action, channel, request, **detail)
    channel.refresh_from_db()
    return channel


def _record(
    person: User, action: str, channel: Channel, request: HttpRequest | None, **detail: Any
) -> None:
    audit.record(
        person=person,
        action=action,
        subject=f"Channel {channel.name}",
        subject_id=channel.id,
        detail=detail,
        request=request,
    )
