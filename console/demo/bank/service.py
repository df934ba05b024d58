"""The bank's HTTP face: payment orders with a key, the ledger, the calls, the switches.

Orders and the ledger ask for the API key. The calls and the switches do not: they are
not the bank's business but the test bench around it, and the service listens on
loopback only.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from console.demo.bank import page
from console.demo.bank.ledger import BUSY_SECONDS, Answer, Ledger, Outcome
from console.demo.bank.orders import OrderRefused, check_key, check_order, check_switches

MAX_BODY_BYTES = 16_384
STATUS = {
    Outcome.PERFORMED: 201,
    Outcome.REPLAYED: 200,
    Outcome.REFUSED: 422,
    Outcome.FAILED: 503,
    Outcome.BUSY: 429,
}


class Bank:
    """The routes over one ledger. Handlers run on the event loop, one transaction each."""

    def __init__(self, *, ledger: Ledger, api_key: str) -> None:
        self._ledger = ledger
        self._api_key = api_key.encode()

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self.show, methods=["GET"]),
                Route("/health", self.health, methods=["GET"]),
                Route("/payments", self.post_payment, methods=["POST"]),
                Route("/payments", self.get_payments, methods=["GET"]),
                Route("/payments/{payment_id}", self.get_payment, methods=["GET"]),
                Route("/calls", self.get_calls, methods=["GET"]),
                Route("/switches", self.get_switches, methods=["GET"]),
                Route("/switches", self.put_switches, methods=["PUT"]),
                Route("/switches", self.post_switches_form, methods=["POST"]),
            ],
            # A page of another site that resolves its name to loopback is turned away.
            middleware=[
                Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
            ],
        )

    async def show(self, request: Request) -> Response:
        return HTMLResponse(page.render(self._ledger), headers=page.HEADERS)

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def post_payment(self, request: Request) -> Response:
        key = request.headers.get("idempotency-key", "")
        refusal = await self._refusal(request, key)
        if refusal is not None:
            self._ledger.refuse(key=key[:255])
            return refusal
        try:
            order = check_order(_parsed(await request.body()))
        except OrderRefused as refused:
            self._ledger.refuse(key=key)
            return problem(422, str(refused))
        return await self._answer(request, self._ledger.pay(key=key, order=order))

    async def _refusal(self, request: Request, key: str) -> Response | None:
        if not self._is_known(request):
            return problem(401, "The API key is missing or wrong.")
        try:
            check_key(key)
        except OrderRefused as refused:
            return problem(400, str(refused))
        if not await _is_small(request):
            return problem(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
        return None

    async def _answer(self, request: Request, answer: Answer) -> Response:
        delay_seconds = self._ledger.switches()["delay_seconds"]
        if delay_seconds:
            await asyncio.sleep(delay_seconds)
        if answer.is_dropped:
            request.state.transport.abort()
        if answer.payment is None:
            refused = problem(STATUS[answer.outcome], answer.detail)
            if answer.outcome is Outcome.BUSY:
                refused.headers["Retry-After"] = str(BUSY_SECONDS)
            return refused
        headers = {"Location": f"/payments/{answer.payment['id']}"}
        if answer.outcome is Outcome.REPLAYED:
            headers["Idempotent-Replayed"] = "true"
        return JSONResponse(answer.payment, status_code=STATUS[answer.outcome], headers=headers)

    async def get_payments(self, request: Request) -> Response:
        if not self._is_known(request):
            return problem(401, "The API key is missing or wrong.")
        after = request.query_params.get("after", "0").removeprefix("SB-")
        if not (after.isascii() and after.isdigit() and len(after) <= 18):
            return problem(400, "after must be the id of a payment.")
        items = self._ledger.find_payments(
            key=request.query_params.get("key"),
            reference=request.query_params.get("reference"),
            after=int(after),
        )
        return JSONResponse({"items": items})

    async def get_payment(self, request: Request) -> Response:
        if not self._is_known(request):
            return problem(401, "The API key is missing or wrong.")
        payment = self._ledger.find_payment(request.path_params["payment_id"])
        if payment is None:
            return problem(404, "There is no such payment.")
        return JSONResponse(payment)

    async def get_calls(self, request: Request) -> Response:
        by_key = self._ledger.calls()
        total = sum(counts["calls"] for counts in by_key.values())
        return JSONResponse({"total": total, "by_key": by_key})

    async def get_switches(self, request: Request) -> Response:
        return JSONResponse(self._ledger.switches())

    async def put_switches(self, request: Request) -> Response:
        if not await _is_small(request):
            return problem(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
        try:
            self._ledger.set_switches(check_switches(_parsed(await request.body())))
        except OrderRefused as refused:
            return problem(422, str(refused))
        return JSONResponse(self._ledger.switches())

    async def post_switches_form(self, request: Request) -> Response:
        """The page's form: a browser sends no PUT."""
        if not _is_from_here(request):
            return problem(403, "The form must be sent from the bank's own page.")
        if not await _is_small(request):
            return problem(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
        try:
            self._ledger.set_switches(check_switches(_form(await request.body())))
        except OrderRefused as refused:
            return problem(422, str(refused))
        return RedirectResponse("/", status_code=303)

    def _is_known(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else ""
        given = given or request.headers.get("x-api-key", "")
        return hmac.compare_digest(given.encode(), self._api_key)


def problem(status: int, detail: str) -> JSONResponse:
    """An error by RFC 9457."""
    titles = {
        400: "Bad request",
        401: "Not known",
        403: "Forbidden",
        404: "Not found",
        413: "Too large",
        422: "Refused",
        429: "Busy",
        503: "Out of order",
    }
    body = {"type": "about:blank", "title": titles[status], "status": status, "detail": detail}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


async def _is_small(request: Request) -> bool:
    """Read the body, but no further than the limit; keep it for `request.body()`."""
    received = bytearray()
    async for piece in request.stream():
        received += piece
        if len(received) > MAX_BODY_BYTES:
            return False
    # `stream` consumes the body; Starlette answers `body()` from this attribute.
    request._body = bytes(received)
    return True


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise OrderRefused("The body is not JSON.") from error


def _form(body: bytes) -> dict[str, float]:
    fields = parse_qsl(body.decode("latin-1"), max_num_fields=20)
    try:
        return {name: float(value) for name, value in fields}
    except ValueError as error:
        raise OrderRefused("A switch takes a number.") from error


def _is_from_here(request: Request) -> bool:
    """Whether a form was sent from the bank's own page and not from another site."""
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")
