"""The sample bank, as a real process: what it promises to those who test against it."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.demo.bank_process import CHECKOUT, ORDER, BankProcess


@pytest.fixture(scope="module")
def shared_bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BankProcess]:
    with BankProcess(tmp_path_factory.mktemp("bank")) as bank:
        yield bank


@pytest.fixture
def bank(shared_bank: BankProcess) -> Iterator[BankProcess]:
    shared_bank.switch()
    yield shared_bank
    shared_bank.switch()


def test_an_order_is_performed_and_stands_in_the_ledger(bank: BankProcess) -> None:
    answer = bank.pay("performed")
    assert answer.status_code == 201
    payment = answer.json()
    assert payment | ORDER == payment
    assert bank.get(answer.headers["Location"]).json() == payment
    assert bank.payments(key="performed") == [payment]


def test_the_same_key_and_order_get_the_same_answer_and_one_payment(bank: BankProcess) -> None:
    first, second = bank.pay("twice"), bank.pay("twice")
    assert "Idempotent-Replayed" not in first.headers
    assert (second.status_code, second.headers["Idempotent-Replayed"]) == (200, "true")
    assert second.json() == first.json()
    assert len(bank.payments(key="twice")) == 1


def test_the_order_of_fields_and_blanks_in_the_iban_do_not_make_another_order(
    bank: BankProcess,
) -> None:
    first = bank.pay("same order")
    spaced = dict(reversed(list(ORDER.items()))) | {"iban": "DE89 3704 0044 0532 0130 00"}
    assert bank.pay("same order", spaced).json() == first.json()


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_minor": 148_751},
        {"currency": "GBP"},
        {"iban": "GB29NWBK60161331926819"},
        {"reference": "another"},
        {"creditor": "Somebody Else"},
    ],
)
def test_the_same_key_with_another_order_is_refused(
    bank: BankProcess, changes: dict[str, Any]
) -> None:
    key = f"other {changes}"
    bank.pay(key)
    answer = bank.pay(key, **changes)
    assert_problem(answer, 422, "This Idempotency-Key was used before with a different order.")
    assert [p["amount_minor"] for p in bank.payments(key=key)] == [148_750]


def test_without_a_key_nothing_is_paid(bank: BankProcess) -> None:
    before = len(bank.payments())
    assert_problem(bank.pay(None), 400, "The header Idempotency-Key is missing.")
    assert_problem(
        bank.pay("x" * 256),
        400,
        "The Idempotency-Key must be at most 255 printable ASCII characters.",
    )
    assert len(bank.payments()) == before


def test_a_wrong_api_key_is_turned_away_and_counted(bank: BankProcess) -> None:
    answer = bank.pay("stranger", api_key="wrong")
    assert_problem(answer, 401, "The API key is missing or wrong.")
    assert bank.calls()["stranger"]["refused"] == 1
    assert httpx.get(f"{bank.url}/payments", trust_env=False).status_code == 401
    assert bank.payments(key="stranger") == []


@pytest.mark.parametrize(
    ("order", "detail"),
    [
        ([], "The body must be a JSON object."),
        ({**ORDER, "extra": 1}, "The field 'extra' is not known."),
        ({k: v for k, v in ORDER.items() if k != "iban"}, "The field 'iban' is missing."),
        ({**ORDER, "iban": "IBAN32423940"}, "iban is not a valid IBAN."),
        ({**ORDER, "iban": 7}, "iban must be a string."),
        ({**ORDER, "amount_minor": 0}, "amount_minor must lie between 1 and 100000000000."),
        ({**ORDER, "amount_minor": -5}, "amount_minor must lie between 1 and 100000000000."),
        ({**ORDER, "amount_minor": 1.5}, "amount_minor must be a whole number of minor units."),
        ({**ORDER, "amount_minor": True}, "amount_minor must be a whole number of minor units."),
        ({**ORDER, "currency": "XXX"}, "currency is not a currency of ISO 4217."),
        ({**ORDER, "currency": "eur"}, "currency is not a currency of ISO 4217."),
        ({**ORDER, "reference": " "}, "reference must be a text of 1 to 140 characters."),
        ({**ORDER, "creditor": "x" * 141}, "creditor must be a text of 1 to 140 characters."),
        (
            {**ORDER, "creditor": "Acme \u202egro.elpmaxe"},
            "creditor must not contain control or other unseen characters.",
        ),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    bank: BankProcess, order: Any, detail: str
) -> None:
    assert_problem(bank.pay("senseless", order), 422, detail)
    assert bank.payments(key="senseless") == []


def test_a_body_that_is_no_json_or_too_large_is_refused(bank: BankProcess) -> None:
    headers = {"X-Api-Key": bank.api_key, "Idempotency-Key": "odd"}
    url = f"{bank.url}/payments"
    odd = httpx.post(url, content=b"{", headers=headers, trust_env=False)
    assert_problem(odd, 422, "The body is not JSON.")
    deep = httpx.post(url, content=b"[" * 16_000, headers=headers, trust_env=False)
    assert_problem(deep, 422, "The body is not JSON.")
    large = httpx.post(url, content=b" " * 16_385, headers=headers, trust_env=False)
    assert_problem(large, 413, "The body is larger than 16384 bytes.")


def test_the_ledger_the_counts_and_the_switches_survive_kill_9(tmp_path: Path) -> None:
    with BankProcess(tmp_path) as bank:
        bank.switch(drop=7)
        with pytest.raises(httpx.TransportError):
            bank.pay("kept")
        ledger, calls, key = bank.payments(), bank.calls(), bank.api_key
        bank.kill()
        bank.start()
        assert bank.payments() == ledger and len(ledger) == 1
        assert bank.calls() == calls and calls["kept"]["dropped"] == 1
        assert bank.get("/switches").json()["drop"] == 6
        assert bank.api_key == key


def test_fail_performs_nothing_and_counts_the_call(bank: BankProcess) -> None:
    bank.switch(fail=2)
    answers = [bank.pay("failing") for _ in range(3)]
    assert [a.status_code for a in answers] == [503, 503, 201]
    assert_problem(answers[0], 503, "The bank is out of order. Try again.")
    assert bank.calls()["failing"] == {
        "calls": 3,
        "performed": 1,
        "replayed": 0,
        "refused": 0,
        "failed": 2,
        "dropped": 0,
    }


def test_busy_performs_nothing_and_says_when_to_come_back(bank: BankProcess) -> None:
    bank.switch(busy=1)
    answers = [bank.pay("early") for _ in range(2)]
    assert [a.status_code for a in answers] == [429, 201]
    assert_problem(answers[0], 429, "These are too many orders at once.")
    assert answers[0].headers["Retry-After"] == "1"
    counts = bank.calls()["early"]
    assert (counts["calls"], counts["performed"], counts["failed"]) == (2, 1, 1)


def test_refuse_is_a_definite_no_to_new_orders_only(bank: BankProcess) -> None:
    first = bank.pay("before")
    bank.switch(refuse=1)
    assert bank.pay("before").json() == first.json()
    assert_problem(bank.pay("refused"), 422, "The payee's bank refused the payment.")
    assert bank.pay("refused").status_code == 201


def test_drop_performs_and_then_says_nothing_at_all(bank: BankProcess) -> None:
    bank.switch(drop=2)
    for _ in range(2):
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            bank.pay("dropped")
    assert len(bank.payments(key="dropped")) == 1
    answer = bank.pay("dropped")
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert bank.calls()["dropped"] == {
        "calls": 3,
        "performed": 1,
        "replayed": 2,
        "refused": 0,
        "failed": 0,
        "dropped": 2,
    }


def test_delay_holds_back_the_answer_but_not_the_payment(bank: BankProcess) -> None:
    bank.switch(delay_seconds=1.0)
    began = time.monotonic()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{bank.url}/payments",
            json=ORDER,
            timeout=0.3,
            trust_env=False,
            headers={"X-Api-Key": bank.api_key, "Idempotency-Key": "slow"},
        )
    assert len(bank.payments(key="slow")) == 1
    assert bank.pay("slow").status_code == 200
    assert time.monotonic() - began >= 1.0


def test_many_at_once_with_one_key_make_one_payment(bank: BankProcess) -> None:
    answers: list[httpx.Response] = []
    threads = [
        threading.Thread(target=lambda: answers.append(bank.pay("crowd"))) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(a.status_code for a in answers) == [200] * 9 + [201]
    assert len({a.json()["id"] for a in answers}) == 1
    assert bank.calls()["crowd"]["calls"] == 10


@pytest.mark.parametrize(
    ("values", "detail"),
    [
        ({"explode": 1}, "There is no switch 'explode'."),
        ({"fail": -1}, "fail must be a number from 0 to 1000000."),
        ({"fail": "many"}, "fail must be a number from 0 to 1000000."),
        ({"drop": 1.5}, "drop must be a whole number."),
        ({"delay_seconds": 601}, "delay_seconds must be a number from 0 to 600."),
        ([], "The body must be a JSON object."),
    ],
)
def test_a_switch_that_makes_no_sense_is_refused(
    bank: BankProcess, values: Any, detail: str
) -> None:
    bank.switch(fail=3)
    answer = httpx.put(f"{bank.url}/switches", json=values, trust_env=False)
    assert_problem(answer, 422, detail)
    assert bank.get("/switches").json() == {
        "fail": 3,
        "busy": 0,
        "refuse": 0,
        "drop": 0,
        "delay_seconds": 0.0,
    }


def test_the_page_shows_the_ledger_and_its_form_sets_the_switches(bank: BankProcess) -> None:
    bank.pay("page", creditor="Müller & <b>Söhne</b>")
    page = bank.get("/")
    assert "Müller &amp; &lt;b&gt;Söhne&lt;/b&gt;" in page.text
    assert "1,487.50 EUR" in page.text
    assert "<script" not in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    form = {"fail": "1", "refuse": "0", "drop": "0", "delay_seconds": "0.5"}
    sent = httpx.post(
        f"{bank.url}/switches", data=form, headers={"Origin": bank.url}, trust_env=False
    )
    assert (sent.status_code, sent.headers["Location"]) == (303, "/")
    assert bank.get("/switches").json()["delay_seconds"] == 0.5


@pytest.mark.parametrize("origin", [{}, {"Origin": "http://evil.example"}, {"Origin": "null"}])
def test_a_form_of_another_site_sets_nothing(bank: BankProcess, origin: dict[str, str]) -> None:
    sent = httpx.post(f"{bank.url}/switches", data={"fail": "9"}, headers=origin, trust_env=False)
    assert_problem(sent, 403, "The form must be sent from the bank's own page.")
    assert bank.get("/switches").json()["fail"] == 0


def test_a_foreign_host_name_is_turned_away(bank: BankProcess) -> None:
    answer = httpx.get(bank.url, headers={"Host": "bank.example"}, trust_env=False)
    assert answer.status_code == 400


def test_an_unknown_payment_is_not_found(bank: BankProcess) -> None:
    for unknown in ("SB-99999999", "SB-1", "1", "SB-²", "nothing"):
        assert_problem(bank.get(f"/payments/{unknown}"), 404, "There is no such payment.")


def test_the_ledger_is_read_in_pages(bank: BankProcess) -> None:
    first = bank.pay("page one").json()
    second = bank.pay("page two").json()
    after = bank.payments(after=first["id"])
    assert second in after and first not in after
    assert_problem(bank.get("/payments", after="x"), 400, "after must be the id of a payment.")


def test_the_api_key_is_made_once_and_private(bank: BankProcess) -> None:
    file = bank.home / "api-key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(bank.api_key) >= 32


def assert_problem(answer: httpx.Response, status: int, detail: str) -> None:
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["detail"]) == (status, detail)


@pytest.mark.parametrize("port", ["taken", "99999"])
def test_a_port_that_cannot_be_had_is_said_in_one_sentence(
    bank: BankProcess, tmp_path: Path, port: str
) -> None:
    number = str(bank.port) if port == "taken" else port
    command = [sys.executable, "-m", "console.demo.bank", "--home", str(tmp_path), "--port", number]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"The sample bank cannot listen on port {number}: ")
    assert len(ended.stderr.splitlines()) == 1


def test_it_imports_nothing_of_placet() -> None:
    """It is the outside world, and it starts at once: no room, no Django."""
    seen = (
        "import sys, console.demo.bank.__main__\n"
        "rooms = ('runs', 'approvals', 'credentials', 'django', 'celery')\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in rooms"
        " or m.startswith('console.') and not m.startswith('console.demo')))"
    )
    command = [sys.executable, "-c", seen]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
