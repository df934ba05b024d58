"""The web process: pages and API over HTTP, hints over WebSocket."""

from __future__ import annotations

import gc
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
# Django has to be set up before anything that imports models.
django.setup(set_prefix=False)

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import get_resolver, path, re_path  # noqa: E402

from console.bodies import limit_bodies  # noqa: E402
from console.handler import OneThreadHandler  # noqa: E402
from console.live.consumer import LiveConsumer, NoSuchPlace  # noqa: E402
from console.origins import SameOrigin  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": limit_bodies(OneThreadHandler()),
        "websocket": SameOrigin(
            AuthMiddlewareStack(
                URLRouter(
                    [path("live/", LiveConsumer.as_asgi()), re_path("", NoSuchPlace.as_asgi())]
                )
            )
        ),
    }
)

# All views, so that the first request does not wait for their modules. What stands from the start
# stays: a full collection looks at none of it again, which would take some request after another
# a tenth of a second.
get_resolver().url_patterns  # noqa: B018
gc.collect()
gc.freeze()
