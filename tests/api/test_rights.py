"""Who may call what: every call x every role, every scope, every way to call."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from console.api.api import api
from console.models import ApiToken, User
from console.tokens import SCOPES, create_token
from tests.api import callers
from tests.harness import World, as_role

# Each call with the scope it needs, the roles that may make it, and what it answers on
# nothing there: enough to tell that the door was passed, without doing anything.
NOTHING = callers.ABSENT
DECIDE = {"verdict": "approve", "digest": "0" * 64}
TOGETHER = {"verdict": "approve", "requests": [{"gate": NOTHING, "digest": "0" * 64}]}
SETTLE = {"answer": "give_up", "reason": "Nobody answers."}
START = {"workflow": "none", "input": {}}
BECAUSE = {"reason": "The bank is closed."}
BULK = {"filter": {"workflow": "none"}, "fingerprint": "0" * 64, "action": "cancel"}
PLAN = {"name": "Mornings", "workflow": "none", "cron": "0 9 * * *"}
PAST = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "count": 0}
SPAN = "?since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z"
MEMBER = {"kind": "add_reviewer", "group": "payments", "username": "nobody-else", "reason": "x"}
SIGNED = {"key": NOTHING, "signature": "AAAA"}
GLASS = {"id": NOTHING, "scope": "everything", "minutes": 30, "reason": "x", "signed": SIGNED}
BREAKERS = {"reviewer", "admin"}
BY_ITS_TOKEN = {("POST", "completions/{token}")}
"""The token in the address is the leave: see `test_completions`."""
EVERYBODY = {"operator", "reviewer", "auditor", "admin"}
CALLS: dict[tuple[str, str], tuple[str, set[str], Any, int]] = {
    ("POST", "runs"): ("runs:write", {"operator"}, START, 422),
    ("GET", "runs"): ("runs:read", EVERYBODY, None, 200),
    ("GET", f"runs/{NOTHING}"): ("runs:read", EVERYBODY, None, 404),
    ("GET", f"runs/{NOTHING}/events"): ("runs:read", EVERYBODY, None, 404),
    ("POST", f"runs/{NOTHING}/cancel"): ("runs:write", {"operator"}, {}, 404),
    ("POST", f"runs/{NOTHING}/pause"): ("runs:write", {"operator"}, BECAUSE, 404),
    ("POST", f"runs/{NOTHING}/resume"): ("runs:write", {"operator"}, {}, 404),
    ("POST", f"runs/{NOTHING}/terminate"): ("runs:write", {"operator"}, BECAUSE, 404),
    ("POST", f"runs/{NOTHING}/fork"): ("runs:write", {"operator"}, {"at": 0}, 404),
    ("POST", f"runs/{NOTHING}/signals/go"): ("runs:write", {"operator"}, {"payload": 1}, 404),
    ("GET", f"runs/{NOTHING}/questions"): ("runs:read", EVERYBODY, None, 404),
    ("POST", f"runs/{NOTHING}/questions/0/answer"): (
        "runs:write",
        {"operator", "reviewer"},
        {"values": {}},
        404,
    ),
    ("GET", "questions"): ("runs:read", EVERYBODY, None, 200),
    ("GET", "bulk"): ("runs:write", {"operator"}, None, 409),
    ("POST", "bulk"): ("runs:write", {"operator"}, BULK, 409),
    ("GET", "schedules"): ("runs:read", EVERYBODY, None, 200),
    ("POST", "schedules"): ("runs:write", {"operator"}, PLAN, 422),
    ("GET", f"schedules/{NOTHING}"): ("runs:read", EVERYBODY, None, 404),
    ("PATCH", f"schedules/{NOTHING}"): ("runs:write", {"operator"}, {"name": "x"}, 404),
    ("DELETE", f"schedules/{NOTHING}"): ("runs:write", {"operator"}, None, 404),
    ("POST", f"schedules/{NOTHING}/pause"): ("runs:write", {"operator"}, BECAUSE, 404),
    ("POST", f"schedules/{NOTHING}/resume"): ("runs:write", {"operator"}, {}, 404),
    ("POST", f"schedules/{NOTHING}/trigger"): ("runs:write", {"operator"}, {}, 404),
    ("GET", f"schedules/{NOTHING}/backfill{SPAN}"): ("runs:write", {"operator"}, None, 404),
    ("POST", f"schedules/{NOTHING}/backfill"): ("runs:write", {"operator"}, PAST, 404),
    ("GET", f"schedules/{NOTHING}/ticks"): ("runs:read", EVERYBODY, None, 404),
    ("POST", f"runs/{NOTHING}/steps/0/settlements"): ("runs:write", {"operator"}, SETTLE, 404),
    ("GET", "policies"): ("policies:read", EVERYBODY, None, 200),
    ("GET", "policies/999"): ("policies:read", EVERYBODY, None, 404),
    ("POST", "policies/check"): ("policies:read", EVERYBODY, {"text": "rules: []"}, 200),
    ("GET", "reviewers/figures"): (
        "figures:read",
        {"reviewer", "auditor", "admin"},
        None,
        200,
    ),
    ("GET", "gates"): ("gates:read", EVERYBODY, None, 200),
    ("GET", f"gates/{NOTHING}"): ("gates:read", EVERYBODY, None, 404),
    ("POST", f"gates/{NOTHING}/comments"): (
        "gates:comment",
        {"operator", "reviewer", "admin"},
        {"text": "Is this the new account?"},
        404,
    ),
    ("POST", f"gates/{NOTHING}/decisions"): ("gates:decide", {"reviewer"}, DECIDE, 404),
    ("POST", "gates/decisions"): ("gates:decide", {"reviewer"}, TOGETHER, 404),
    ("GET", f"batches/{NOTHING}"): ("gates:read", EVERYBODY, None, 404),
    ("GET", "pace"): ("gates:decide", {"reviewer"}, None, 200),
    ("POST", "recap"): ("gates:decide", {"reviewer"}, {"upto": NOTHING}, 409),
    ("GET", "freezes"): ("safeguards:read", EVERYBODY, None, 200),
    ("POST", "freezes"): (
        "safeguards:write",
        EVERYBODY - {"auditor"},
        {"scope": "tool", "reason": "x"},
        409,
    ),
    ("POST", f"freezes/{NOTHING}/thaw"): (
        "safeguards:write",
        EVERYBODY - {"auditor"},
        BECAUSE,
        404,
    ),
    ("GET", "changes"): ("safeguards:read", EVERYBODY, None, 200),
    ("POST", "changes"): ("safeguards:write", {"admin"}, MEMBER, 404),
    ("GET", f"changes/{NOTHING}"): ("safeguards:read", EVERYBODY, None, 404),
    ("POST", f"changes/{NOTHING}/voices"): ("safeguards:write", {"admin"}, DECIDE, 404),
    ("GET", "keys"): ("safeguards:write", {"admin"}, None, 200),
    ("POST", f"keys/{NOTHING}/vouch"): ("safeguards:write", {"admin"}, BECAUSE, 404),
    ("GET", "breakglass"): ("safeguards:read", EVERYBODY, None, 200),
    ("POST", "breakglass"): ("safeguards:write", BREAKERS, GLASS, 409),
    ("POST", f"breakglass/{NOTHING}/confirm"): (
        "safeguards:write",
        BREAKERS,
        {"signed": SIGNED},
        404,
    ),
    ("POST", f"breakglass/{NOTHING}/review"): (
        "safeguards:write",
        BREAKERS | {"auditor"},
        {"found": "x"},
        404,
    ),
}
ROLES = {"alice": "operator", "bob": "reviewer", "dave": "auditor", "erin": "admin"}
CALL = pytest.mark.parametrize(("method", "path"), CALLS, ids=[" ".join(call) for call in CALLS])


def make(caller: callers.Caller, method: str, path: str, **headers: str) -> Any:
    body = CALLS[method, path][2]
    if method == "GET":
        return caller.get(path)
    return caller.post(path, body, method=method, **headers)


def test_every_call_is_in_the_table() -> None:
    given = {"{name}": "go", "{position}": "0", "{number}": "999"}
    nouns = ("run", "gate", "schedule", "freeze", "change", "glass", "key", "batch")
    given |= {f"{{{noun}_id}}": NOTHING for noun in nouns}
    described = set()
    for path, methods in api.get_openapi_schema()["paths"].items():
        for name, value in given.items():
            path = path.replace(name, value)  # noqa: PLW2901
        described |= {(method.upper(), path.removeprefix("/api/v1/")) for method in methods}
    assert described == {(m, p.partition("?")[0]) for m, p in CALLS} | BY_ITS_TOKEN


@CALL
def test_a_call_is_open_to_its_roles_and_to_nobody_else(
    world: World, method: str, path: str
) -> None:
    _scope, roles, _body, passed = CALLS[method, path]
    nobody = callers.make_person("nobody", tenant=world.tenant)
    for person, role in {getattr(world, n): r for n, r in ROLES.items()}.items() | {(nobody, "")}:
        answer = make(callers.with_token(person), method, path)
        if role in roles:
            assert answer.status_code == passed, (role, answer.content)
        else:
            assert callers.problem(answer) == (403, "forbidden"), role


@pytest.mark.parametrize("by", [callers.with_token, callers.by_session])
def test_who_may_not_call_is_not_told_what_is_wrong_with_the_body(world: World, by: Any) -> None:
    nobody = by(callers.make_person("nobody", tenant=world.tenant))
    nobody.client.cookies["csrftoken"] = "a" * 32
    answer = nobody.post("runs", {"colour": "red"}, X_CSRFToken="a" * 32)
    assert callers.problem(answer) == (403, "forbidden")


@CALL
def test_a_token_opens_its_scopes_and_nothing_else(
    anyone: callers.Caller, method: str, path: str
) -> None:
    needed, _roles, _body, passed = CALLS[method, path]
    person = User.objects.get(username="all")
    for scope in SCOPES:
        answer = make(callers.with_token(person, scope), method, path)
        if scope == needed:
            assert answer.status_code == passed, answer.content
        else:
            assert callers.problem(answer) == (403, "missing-scope"), scope
            assert needed in answer.json()["detail"]


@CALL
def test_a_session_reads_and_writes_only_with_the_csrf_token(
    anyone: callers.Caller, method: str, path: str
) -> None:
    passed = CALLS[method, path][3]
    signed_in = callers.by_session(User.objects.get(username="all"))
    if method == "GET":
        assert make(signed_in, method, path).status_code == passed
        return
    assert callers.problem(make(signed_in, method, path)) == (403, "csrf")
    signed_in.client.cookies["csrftoken"] = "a" * 32
    assert make(signed_in, method, path, X_CSRFToken="a" * 32).status_code == passed
    assert callers.problem(make(signed_in, method, path, X_CSRFToken="b" * 32)) == (403, "csrf")


@CALL
def test_without_a_person_every_call_is_refused(world: World, method: str, path: str) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer placet_" + "A" * 43},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer sk-else"},
        {"Authorization": "Basic YWxpY2U6eA=="},
        {"Authorization": "Bearer placet_" + "A" * 5000},
        {"Authorization": "Bearer placet_\u00e9"},
    ):
        answer = make(callers.Caller(headers=headers), method, path)
        assert callers.problem(answer) == (401, "unauthenticated"), headers
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_wrong_token_is_not_saved_by_a_session(anyone: callers.Caller) -> None:
    signed_in = callers.by_session(User.objects.get(username="all"))
    signed_in.headers = {"Authorization": "Bearer placet_wrong"}
    assert callers.problem(signed_in.get("runs")) == (401, "unauthenticated")


def test_a_token_ends_by_its_date_by_revocation_and_with_its_person(world: World) -> None:
    with as_role("placet_owner"):
        token, plain = create_token(
            world.alice, ["runs:read"], "", timezone.now() + timedelta(hours=1)
        )
    alice = callers.by_token(plain)
    mine = ApiToken.objects.filter(id=token.id)
    people = User.objects.filter(id=world.alice.id)
    assert alice.get("runs").status_code == 200
    for spoil, mend in (
        ((mine, {"expires_at": Now()}), (mine, {"expires_at": None})),
        ((people, {"is_active": False}), (people, {"is_active": True})),
        ((people, {"tenant": "moved"}), (people, {"tenant": world.tenant})),
    ):
        spoil[0].update(**spoil[1])
        assert callers.problem(alice.get("runs")) == (401, "unauthenticated"), spoil[1]
        mend[0].update(**mend[1])
        assert alice.get("runs").status_code == 200
    mine.update(revoked_at=Now())
    assert callers.problem(alice.get("runs")) == (401, "unauthenticated")


def test_a_token_is_kept_as_a_hash_and_its_use_is_noted_once_a_minute(world: World) -> None:
    plain = callers.make_token(world.alice, "runs:read")
    alice = callers.by_token(plain)
    token = ApiToken.objects.get()
    assert plain.startswith("placet_") and len(plain) >= 7 + 43
    assert plain.encode() not in bytes(token.hash) and len(bytes(token.hash)) == 32
    assert token.last_used_at is None
    alice.get("runs")
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    alice.get("runs")
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(seconds=61))
    alice.get("runs")
    noted = ApiToken.objects.get().last_used_at
    assert noted is not None and noted >= first
