"""Who may listen to live updates, and whose word on an address is believed."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.testing import ApplicationCommunicator
from django.test import override_settings

from console.embedded import programs
from console.embedded.errors import CannotStart
from console.embedded.ports import find_free
from console.embedded.start import trusted_proxies_from_environment
from console.home import BASE_DIR
from console.models import AuditEntry
from console.origins import SameOrigin, is_same_origin
from tests.browser.web import let_people_sign_in
from tests.harness import World
from tests.servers import Servers


def asked(origin: str | None, host: str) -> bool:
    headers = [(b"host", host.encode())]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    return is_same_origin(headers)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8000", "localhost:8000"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://localhost", "localhost:80"),
        ("https://localhost", "localhost"),
        ("http://LOCALHOST:8000", "localhost:8000"),
    ],
)
def test_a_page_of_this_host_and_port_may_listen(origin: str, host: str) -> None:
    assert asked(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:9000", "localhost:8000"),
        ("http://localhost", "localhost:8000"),
        ("http://127.0.0.1:8000", "localhost:8000"),
        ("http://evil.example:8000", "evil.example:8000"),
        ("http://localhost:99999999", "localhost:8000"),
        ("ftp://localhost:8000", "localhost:8000"),
        ("null", "localhost:8000"),
        ("", "localhost:8000"),
        (None, "localhost:8000"),
    ],
)
def test_any_other_may_not(origin: str | None, host: str) -> None:
    assert not asked(origin, host)


def test_behind_tls_a_page_without_it_may_not_listen() -> None:
    with override_settings(PLACET_TLS=True):
        assert asked("https://localhost", "localhost")
        assert not asked("http://localhost", "localhost")


def test_an_origin_that_is_named_may_listen_whatever_the_proxy_makes_of_the_host() -> None:
    with override_settings(CSRF_TRUSTED_ORIGINS=["https://placet.example.org"]):
        assert asked("https://placet.example.org", "127.0.0.1:8000")
        assert not asked("https://placet.example.org:444", "127.0.0.1:8000")


@pytest.mark.parametrize(("port", "is_let_in"), [(8000, True), (9000, False)])
def test_the_socket_itself_is_refused(port: int, is_let_in: bool) -> None:
    async def accept(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    async def connect() -> bool:
        headers = [(b"host", b"localhost:8000"), (b"origin", f"http://localhost:{port}".encode())]
        scope = {"type": "websocket", "path": "/live/", "headers": headers}
        page: Any = ApplicationCommunicator(SameOrigin(accept), scope)  # type: ignore[no-untyped-call]
        await page.send_input({"type": "websocket.connect"})
        answer = await page.receive_output(5)
        return bool(answer["type"] == "websocket.accept")

    assert asyncio.run(connect()) is is_let_in


@pytest.mark.processes
@pytest.mark.parametrize(("trusted", "address"), [("", "127.0.0.1"), ("127.0.0.1", "203.0.113.9")])
def test_an_address_is_believed_from_a_named_proxy_only(
    world: World, servers: Servers, tmp_path: Path, trusted: str, address: str
) -> None:
    let_people_sign_in()
    port = find_free()
    with (tmp_path / "web.txt").open("wb") as output:
        web = subprocess.Popen(
            [*map(str, programs.web("127.0.0.1", port, trusted))],
            env=servers.environment("web"),
            cwd=BASE_DIR,
            stdout=output,
            stderr=output,
        )
    try:
        sign_in_with_a_forged_address(port)
    finally:
        web.terminate()
        web.wait(15)
    assert {entry.address for entry in AuditEntry.objects.all()} == {address}


def sign_in_with_a_forged_address(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.1)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
        client.get("/accounts/login/")
        answer = client.post(
            "/accounts/login/",
            data={
                "login": "bob",
                "password": "wrong",
                "csrfmiddlewaretoken": client.cookies["csrftoken"],
            },
            headers={"X-Forwarded-For": "203.0.113.9"},
        )
    assert answer.status_code == 200


def test_a_proxy_is_named_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACET_TRUSTED_PROXIES", "10.0.0.1, 10.1.0.0/16")
    assert trusted_proxies_from_environment() == "10.0.0.1,10.1.0.0/16"
    monkeypatch.setenv("PLACET_TRUSTED_PROXIES", "*")
    with pytest.raises(CannotStart, match="names '\\*', which is no address of a proxy"):
        trusted_proxies_from_environment()
