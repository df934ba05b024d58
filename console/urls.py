"""All addresses of the console."""

from __future__ import annotations

from allauth.account import views as account
from django.urls import include, path

from console import health
from console.api.api import api
from console.pages import (
    audit,
    gates,
    home,
    patterns,
    rundetail,
    runs,
    secrets,
    settle,
    theme,
)

urlpatterns = [
    path("", home.home, name="home"),
    path("inbox/", gates.inbox, name="inbox"),
    path("gates/<uuid:id>/", gates.gate, name="gate"),
    path("gates/<uuid:id>/decide/", gates.decide, name="gate-decide"),
    path("runs/", runs.runs, name="runs"),
    path("runs/start/", runs.start, name="run-start"),
    path("runs/<uuid:id>/", rundetail.run, name="run"),
    path("runs/<uuid:id>/cancel/", runs.cancel, name="run-cancel"),
    path("runs/<uuid:id>/steps/<int:position>/settle/", settle.settle, name="step-settle"),
    path("secrets/", secrets.secrets, name="secrets"),
    path("secrets/write/", secrets.write, name="secret-write"),
    path("secrets/scopes/grant/", secrets.grant, name="scope-grant"),
    path("secrets/scopes/revoke/", secrets.revoke, name="scope-revoke"),
    path("audit/", audit.audit, name="audit"),
    path("patterns/", patterns.patterns, name="patterns"),
    path("theme/", theme.choose, name="theme"),
    # Of allauth's pages only these: nobody signs up, and nothing here sends mail.
    path(
        "accounts/",
        include(
            [
                path("login/", account.login, name="account_login"),
                path("logout/", account.logout, name="account_logout"),
                path("inactive/", account.account_inactive, name="account_inactive"),
            ]
        ),
    ),
    path("healthz", health.alive, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("api/v1/", api.urls),
]
