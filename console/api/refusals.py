"""From what the rooms refuse to what the caller reads. Each refusal has one row here."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

import ninja.errors
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI

from approvals import errors as approvals
from console import access, waits
from console.api.auth import unauthenticated
from console.api.problems import FieldError, Problem, plain, respond
from console.api.strict import too_large
from runs import errors as runs

logger = logging.getLogger("console.api")
MAX_FAULTS = 20
MAX_DETAIL_LENGTH = 300

# Refusal, status, kind, and the field at fault where there is exactly one. First match wins.
_ROWS: Sequence[tuple[type[Exception], int, str, str]] = (
    (access.NotFound, 404, "not-found", ""),
    (access.Forbidden, 403, "forbidden", ""),
    (runs.UnknownWorkflow, 422, "unknown-workflow", "/workflow"),
    (runs.PayloadTooLarge, 413, "too-large", ""),
    (runs.IdempotencyMismatch, 422, "idempotency-mismatch", ""),
    (runs.AlreadyEnded, 409, "already-ended", ""),
    (runs.SettlementRefused, 409, "settlement-refused", ""),
    (runs.SteeringRefused, 409, "steering-refused", ""),
    (runs.ForkRefused, 409, "fork-refused", ""),
    (runs.BulkRefused, 409, "bulk-refused", ""),
    (runs.MailboxFull, 409, "mailbox-full", ""),
    (runs.ScheduleRefused, 409, "schedule-refused", ""),
    (runs.CompletionRefused, 409, "completion-refused", ""),
    (runs.UnknownRun, 404, "not-found", ""),
    (runs.NotCanonical, 422, "invalid-input", "/input"),
    (approvals.OwnRequest, 403, "own-request", ""),
    (approvals.NotEligible, 403, "not-eligible", ""),
    (approvals.AlreadyDecided, 409, "already-decided", ""),
    (approvals.GateClosed, 409, "gate-closed", ""),
    (approvals.DigestMismatch, 409, "digest-mismatch", "/digest"),
    (approvals.ReasonRequired, 422, "reason-required", "/reason"),
    (approvals.SignatureRefused, 409, "signature-refused", "/signed"),
    (approvals.BatchRefused, 409, "batch-refused", ""),
    (approvals.TooFast, 409, "too-fast", ""),
    (approvals.DecisionRefused, 409, "decision-refused", ""),
    (approvals.CommentRefused, 422, "comment-refused", "/text"),
    (approvals.ReasonMissing, 422, "reason-required", "/reason"),
    (approvals.ChangeRefused, 409, "change-refused", ""),
    (approvals.FreezeRefused, 409, "freeze-refused", ""),
    (approvals.KeyRefused, 409, "key-refused", ""),
    (approvals.BreakGlassRefused, 409, "breakglass-refused", ""),
    (runs.Refused, 422, "refused", ""),
)


def connect(api: NinjaAPI) -> None:
    """Answer every refusal, expected or not, with a problem."""
    for refusal in (Problem, access.Refused, runs.Refused, runs.NotCanonical,
                    approvals.ApprovalsError):  # fmt: skip
        api.add_exception_handler(refusal, _refused)
    api.add_exception_handler(ninja.errors.AuthenticationError, _unauthenticated)
    api.add_exception_handler(ninja.errors.ValidationError, _invalid)
    api.add_exception_handler(ninja.errors.HttpError, _unreadable)
    api.add_exception_handler(RequestDataTooBig, _too_big)
    api.add_exception_handler(Exception, _failed)


def problem_of(refusal: Exception) -> Problem:
    if isinstance(refusal, Problem):
        return refusal
    if isinstance(refusal, access.BadCursor):
        fault = FieldError(parameter="cursor", detail=str(refusal))
        return Problem(422, "invalid-request", str(refusal), errors=[fault])
    if isinstance(refusal, runs.InvalidInput):
        faults = [
            FieldError(pointer=f"/input{at}", detail=_short(text))
            for at, text in refusal.errors[:MAX_FAULTS]
        ]
        return Problem(422, "invalid-input", "The workflow does not take this input.",
                       errors=faults)  # fmt: skip
    if isinstance(refusal.__cause__, runs.PayloadTooLarge):
        refusal = refusal.__cause__
    for kind, status, word, pointer in _ROWS:
        if isinstance(refusal, kind):
            detail = _short(str(refusal))
            faults = [FieldError(pointer=pointer, detail=detail)] if pointer else []
            return Problem(status, word, detail, errors=faults)
    raise refusal


def _refused(_request: HttpRequest, refusal: Any) -> HttpResponse:
    return respond(problem_of(refusal))


def _unauthenticated(_request: HttpRequest, _error: Any) -> HttpResponse:
    return respond(unauthenticated())


def _unreadable(_request: HttpRequest, error: Any) -> HttpResponse:
    """Ninja wraps what its parser raises; what `StrictParser` said is inside."""
    said = error.__cause__
    return respond(said if isinstance(said, Problem) else plain(error.status_code))


def _too_big(_request: HttpRequest, _error: Any) -> HttpResponse:
    return respond(too_large())


def _failed(request: HttpRequest, error: Any) -> HttpResponse:
    if waits.is_impatience(error):
        return respond(plain(503))
    logger.error("A call failed: %s %s", request.method, request.path, exc_info=error)
    return respond(plain(500))


def _invalid(_request: HttpRequest, error: Any) -> HttpResponse:
    """What the shapes did not accept. What was sent is never quoted back."""
    if any(fault["loc"][0] == "path" for fault in error.errors):
        return respond(Problem(404, "not-found", "There is nothing with this id."))
    faults = [_field_error(fault) for fault in error.errors[:MAX_FAULTS]]
    return respond(
        Problem(422, "invalid-request", "The request has fields that do not fit.", errors=faults)
    )


def _field_error(fault: dict[str, Any]) -> FieldError:
    # Where ninja looked: ("body", the argument of the view, ...) or ("query", the parameter).
    place, *path = fault["loc"]
    if place != "body":
        return FieldError(parameter=str(path[0]) if path else "", detail=_sentence(fault))
    path = path[1:]
    steps = [re.sub(r"[~/]", _escaped, str(part)) for part in path]
    return FieldError(pointer="".join(f"/{step}" for step in steps), detail=_sentence(fault))


def _short(sentence: str) -> str:
    """A sentence that quotes what was sent must not be as long as what was sent."""
    if len(sentence) <= MAX_DETAIL_LENGTH:
        return sentence
    return f"{sentence[:MAX_DETAIL_LENGTH]} ..."


def _escaped(match: re.Match[str]) -> str:
    return "~0" if match[0] == "~" else "~1"


def _sentence(fault: dict[str, Any]) -> str:
    known = {"extra_forbidden": "This field is not known.", "missing": "This field is required."}
    return known.get(fault["type"]) or f"{fault['msg'].rstrip('.')}."
