"""Which pages may open a socket: those of this very host and port."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.request import split_domain_port, validate_host

PORTS = {"http": 80, "https": 443}


class SameOrigin:
    """Lets a socket through whose Origin is the Host that it asks, if that is a host of ours,
    or one of the origins whose forms are taken as well.

    Browsers send cookies to every port of a host, so the name alone would let a page that
    somebody else serves on another port listen in.
    """

    def __init__(self, application: Any) -> None:
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        allowed = is_same_origin(scope.get("headers", []))
        return await (self.application if allowed else WebsocketDenier())(scope, receive, send)


def is_same_origin(headers: list[tuple[bytes, bytes]]) -> bool:
    origins, hosts = (
        [value.decode("latin1") for name, value in headers if name == wanted]
        for wanted in (b"origin", b"host")
    )
    if len(origins) != 1 or len(hosts) != 1:
        return False
    if origins[0] in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        origin, host = urlsplit(origins[0]), urlsplit(f"//{hosts[0]}")
        default = PORTS.get(origin.scheme)
        same = (
            origin.scheme in schemes()
            and origin.hostname is not None
            and (origin.hostname, origin.port or default) == (host.hostname, host.port or default)
        )
    except ValueError:
        return False
    return same and validate_host(split_domain_port(hosts[0])[0], settings.ALLOWED_HOSTS)


def schemes() -> tuple[str, ...]:
    """Behind a proxy with TLS, a page without it is none of ours."""
    return ("https",) if settings.PLACET_TLS else ("http", "https")
