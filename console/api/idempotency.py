"""`Idempotency-Key`: the same call made twice is done once and answered twice.

The deed, and the row that keeps its answer, commit in one transaction; a refusal rolls
both back, so that the same key may be tried again. An advisory lock tells a call whose
twin is still at work from one whose twin has ended, where waiting on the row could not.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.http import HttpResponse
from pydantic import BaseModel

from console.api.auth import ApiRequest
from console.api.problems import Problem
from console.api.strict import read_json
from console.models import IdempotentRequest

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
MAX_KEY_LENGTH = 255
_KEY = re.compile(rf"[\x21-\x7e]{{1,{MAX_KEY_LENGTH}}}")

Deed = Callable[[str | None], tuple[int, BaseModel]]


def answer(model: BaseModel, *, status: int = 200) -> HttpResponse:
    return _json(model.model_dump_json().encode(), status)


def once(request: ApiRequest, deed: Deed) -> HttpResponse:
    """Do the deed, or give the answer it got when this key was used before.

    `deed` is called with the key, inside the transaction; it returns status and answer.
    Raises `Problem` 400 (the key's form), 409 (still at work) and 422 (another request).
    """
    key = _key_of(request)
    if key is None:
        with transaction.atomic():
            status, model = deed(None)
        return answer(model, status=status)
    with transaction.atomic():
        _lock(request, key)
        kept = _find(request, key)
        if kept is not None:
            return _replay(request, kept)
        status, model = deed(key)
        response = answer(model, status=status)
        _keep(request, key, response)
    return response


def _keep(request: ApiRequest, key: str, response: HttpResponse) -> None:
    IdempotentRequest.objects.create(
        tenant=request.auth.person.tenant,
        person=request.auth.person,
        key=key,
        request_hash=_fingerprint(request),
        status=response.status_code,
        body=response.content,
    )


def once_by_itself(request: ApiRequest, deed: Callable[[], tuple[int, BaseModel]]) -> HttpResponse:
    """The same for a deed that has transactions of its own, and changes nothing when repeated.

    Its answer is kept after it; what is lost in between, the deed itself tells by its second
    answer. The lock is held by the session, for there is no transaction around it.
    """
    key = _key_of(request)
    if key is None:
        status, model = deed()
        return answer(model, status=status)
    with _session_lock(request, key):
        kept = _find(request, key)
        if kept is not None:
            return _replay(request, kept)
        status, model = deed()
        response = answer(model, status=status)
        _keep(request, key, response)
    return response


@contextmanager
def _session_lock(request: ApiRequest, key: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        _take(cursor, "pg_try_advisory_lock", request, key)
        try:
            yield
        finally:
            cursor.execute(
                "SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [_lock_name(request, key)]
            )


def _key_of(request: ApiRequest) -> str | None:
    key = request.headers.get(HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise Problem(
            400,
            "bad-idempotency-key",
            f"An Idempotency-Key is 1 to {MAX_KEY_LENGTH} printable ASCII characters.",
        )
    return key


def _lock(request: ApiRequest, key: str) -> None:
    with connection.cursor() as cursor:
        _take(cursor, "pg_try_advisory_xact_lock", request, key)


def _lock_name(request: ApiRequest, key: str) -> str:
    person = request.auth.person
    return json.dumps(["idempotency", person.tenant, person.pk, key])


def _take(cursor: Any, function: str, request: ApiRequest, key: str) -> None:
    name = _lock_name(request, key)
    cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [name])
    (is_ours,) = cursor.fetchone() or (False,)
    if not is_ours:
        raise Problem(
            409, "in-flight", "A call with this Idempotency-Key is still at work; try again."
        )


def _find(request: ApiRequest, key: str) -> IdempotentRequest | None:
    person = request.auth.person
    return IdempotentRequest.objects.filter(tenant=person.tenant, person=person, key=key).first()


def _replay(request: ApiRequest, kept: IdempotentRequest) -> HttpResponse:
    if bytes(kept.request_hash) != _fingerprint(request):
        raise Problem(
            422,
            "idempotency-mismatch",
            "This Idempotency-Key was used before, for another request.",
        )
    response = _json(bytes(kept.body or b""), kept.status or 200)
    response.headers[REPLAYED] = "true"
    return response


def _fingerprint(request: ApiRequest) -> bytes:
    """Method, path and meaning of the body; spaces and the order of names do not count."""
    body = read_json(request) if request.body else None
    text = json.dumps([request.method, request.path, body], sort_keys=True)
    return hashlib.sha256(text.encode()).digest()


def _json(content: bytes, status: int) -> HttpResponse:
    return HttpResponse(
        content,
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
