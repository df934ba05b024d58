"""All addresses of the console."""

from __future__ import annotations

from allauth.account import views as account
from django.urls import include, path

from console import health
from console.api.api import api
from console.pages import (
    audit,
    breakglass,
    bulk,
    changes,
    delegations,
    freezes,
    gates,
    groups,
    home,
    keys,
    patterns,
    questions,
    rundetail,
    runs,
    schedules,
    secrets,
    settle,
    steer,
    theme,
)

urlpatterns = [
    path("", home.home, name="home"),
    path("inbox/", gates.inbox, name="inbox"),
    path("gates/<uuid:id>/", gates.gate, name="gate"),
    path("gates/<uuid:id>/decide/", gates.decide, name="gate-decide"),
    path("runs/", runs.runs, name="runs"),
    path("runs/start/", runs.start, name="run-start"),
    path("runs/bulk/", bulk.bulk, name="runs-bulk"),
    path("runs/<uuid:id>/", rundetail.run, name="run"),
    path("runs/<uuid:id>/fork/", steer.fork, name="run-fork"),
    path("runs/<uuid:id>/signal/", steer.signal, name="run-signal"),
    path("runs/<uuid:id>/<slug:verb>/", steer.steer, name="run-steer"),
    path("runs/<uuid:id>/steps/<int:position>/settle/", settle.settle, name="step-settle"),
    path("runs/<uuid:id>/steps/<int:position>/answer/", questions.question, name="question"),
    path("questions/", questions.all_questions, name="questions"),
    path("schedules/", schedules.all_schedules, name="schedules"),
    path("schedules/new/", schedules.new, name="schedule-new"),
    path("schedules/<uuid:id>/", schedules.schedule, name="schedule"),
    path("schedules/<uuid:id>/edit/", schedules.edit, name="schedule-edit"),
    path("schedules/<uuid:id>/backfill/", schedules.backfill, name="schedule-backfill"),
    path("schedules/<uuid:id>/<slug:verb>/", schedules.turn, name="schedule-turn"),
    path("keys/", keys.keys, name="keys"),
    path("keys/enrol/", keys.enrol, name="key-enrol"),
    path("keys/revoke/", keys.revoke, name="key-revoke"),
    path("changes/", changes.changes, name="changes"),
    path("changes/<uuid:id>/", changes.change, name="change"),
    path("changes/<uuid:id>/say/", changes.say, name="change-say"),
    path("groups/", groups.groups, name="groups"),
    path("groups/propose/", groups.propose, name="group-propose"),
    path("freezes/", freezes.freezes, name="freezes"),
    path("freezes/new/", freezes.new, name="freeze-new"),
    path("freezes/<uuid:id>/thaw/", freezes.thaw, name="freeze-thaw"),
    path("breakglass/", breakglass.glasses, name="breakglass"),
    path("breakglass/open/", breakglass.open_glass, name="breakglass-open"),
    path("breakglass/<uuid:id>/confirm/", breakglass.confirm, name="breakglass-confirm"),
    path("breakglass/<uuid:id>/review/", breakglass.review, name="breakglass-review"),
    path("delegations/", delegations.delegations, name="delegations"),
    path("delegations/new/", delegations.new, name="delegation-new"),
    path("delegations/<uuid:id>/revoke/", delegations.revoke, name="delegation-revoke"),
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
