"""Refusals as RFC 9457 says them: `application/problem+json`, one sentence, pointers to fields.

The middleware sees to it that nothing under `/api/` is ever answered with a page, also
where Django refuses before a view is reached (an unknown path, a host, a method).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:placet:problem:"
PATH_PREFIX = "/api/"


@dataclass(frozen=True, kw_only=True)
class FieldError:
    """What is wrong with one field (a JSON pointer) or with one query parameter."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None


class Problem(Exception):
    """A refusal on its way to the caller; `kind` is the stable word for machines."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}


def respond(problem: Problem) -> HttpResponse:
    body: dict[str, object] = {
        "type": TYPE_PREFIX + problem.kind,
        "title": problem.kind.replace("-", " ").capitalize(),
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.errors:
        body["errors"] = [
            {name: value for name, value in asdict(error).items() if value is not None}
            for error in problem.errors
        ]
    return HttpResponse(
        json.dumps(body),
        status=problem.status,
        content_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **problem.headers},
    )


# What Django itself answers, in words; anything else falls back on its reason phrase.
_PLAIN = {
    400: ("bad-request", "The request is not one that this server accepts."),
    403: ("forbidden", "The request was refused."),
    404: ("not-found", "There is no such path."),
    405: ("method-not-allowed", "This path does not know the method; see the header Allow."),
    413: ("too-large", "The body of the request is too large."),
    503: (
        "busy",
        "The database is busy with the same rows; nothing was done, try again in a moment.",
    ),
    500: (
        "server-error",
        "The server could not complete the call; repeat it with the same Idempotency-Key.",
    ),
}


def plain(status: int) -> Problem:
    """The problem for a status that came without one of its own."""
    kind, detail = _PLAIN.get(status, ("refused", f"{HTTPStatus(status).phrase}."))
    return Problem(status, kind, detail)


def problem_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Turns every refusal under `/api/` that is not a problem yet into one."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        return _as_problem(request, get_response(request))

    return answer


def _as_problem(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """In place, so that the headers which other middleware has set (Allow, CSP) stay."""
    if not request.path_info.startswith(PATH_PREFIX) or response.status_code < 400:
        return response
    if not isinstance(response, HttpResponse) or response.headers["Content-Type"] == MEDIA_TYPE:
        return response
    problem = respond(plain(response.status_code))
    response.content = problem.content
    for name, value in problem.headers.items():
        response.headers[name] = value
    response.headers["Content-Length"] = str(len(problem.content))
    return response
