"""`pay_invoices` from folder to ledger: what is proposed, what is paid, and how often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from approvals.envelope import envelope_of
from runs import canonical
from runs.errors import DirectCallRefused
from runs.models import Event, Step
from tests.demo.documents import IBAN, Document, Item
from tests.demo.played import Demo
from tests.demo.test_real_invoices import INVOICES


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {entry["file"]: entry["outcome"] for entry in report["invoices"]}


def test_the_samples_wait_at_four_gates_and_are_paid_once_each(demo: Demo) -> None:
    run = demo.start("samples")
    gates = demo.gates(run)
    assert [(g.amount_minor, g.currency, g.quorum) for g in gates] == [
        (148_750, "EUR", 1),
        (1_910_644, "EUR", 2),
        (61_240, "GBP", 1),
        (4_061_300, "SEK", 2),
    ]
    assert demo.bank.payments() == []
    demo.world.approve_all(run, demo.world.bob)
    demo.settle()
    assert len(demo.bank.payments()) == 2
    for gate in gates:
        if gate.quorum == 2:
            demo.world.decide(gate, demo.world.carol)
    report = demo.finish(run)
    assert (report["paid"], report["denied"], report["failed"], report["unsound"]) == (4, 0, 0, 3)
    paid = {p["reference"]: p for p in demo.bank.payments()}
    for entry in report["invoices"]:
        if entry["outcome"] == "paid":
            payment = paid.pop(entry["number"])
            assert payment["id"] == entry["bank_reference"]
            assert payment["creditor"] == entry["creditor"]
            assert payment["amount_minor"] == entry["amount_minor"]
    assert paid == {}
    assert all(counts["calls"] == 1 for counts in demo.bank.calls().values())


def test_a_reviewer_sees_who_is_paid_and_for_what(demo: Demo) -> None:
    demo.put("one.xml", Document(number="A-7"))
    gate = demo.gates(demo.start())[0]
    envelope = envelope_of(gate)
    assert envelope["arguments"] == {
        "iban": IBAN,
        "amount_minor": 11_900,
        "currency": "EUR",
        "reference": "A-7",
        "creditor": "Fernhill Gartenbau GmbH",
    }
    assert envelope["money"]["payee"] == IBAN


def test_a_denied_payment_is_reported_with_its_reason_and_the_others_are_paid(
    demo: Demo,
) -> None:
    demo.put("1.xml", Document(number="A-1"))
    demo.put("2.xml", Document(number="A-2"))
    run = demo.start()
    first, second = demo.gates(run)
    demo.world.decide(first, demo.world.bob, "deny", "We never ordered this.")
    demo.world.decide(second, demo.world.carol)
    report = demo.finish(run)
    assert outcomes(report) == {"1.xml": "denied", "2.xml": "paid"}
    assert demo.world.run_now(run).progress_note == "1 paid, 1 denied, 0 failed"
    assert "We never ordered this." in report["invoices"][0]["reason"]
    assert [p["reference"] for p in demo.bank.payments()] == ["A-2"]


def test_findings_are_reported_and_nothing_is_proposed_for_them(demo: Demo) -> None:
    demo.put("1-sums.xml", Document(number="A-1", stated={"PayableAmount": "191.00"}))
    demo.put("2-account.xml", Document(number="A-2", account="IBAN32423940"))
    (demo.folder / "3-text.txt").write_text("Dear sirs")
    run = demo.start()
    assert demo.gates(run) == []
    report = demo.finish(run)
    assert set(outcomes(report).values()) == {"unsound"}
    assert [e["findings"][0]["code"] for e in report["invoices"]] == [
        "payable",
        "invalid_account",
        "not_xml",
    ]
    assert demo.bank.calls() == {}


def test_an_empty_folder_is_an_empty_report(demo: Demo) -> None:
    run = demo.start()
    report = demo.finish(run)
    assert "The folder is empty" in demo.world.run_now(run).progress_note
    assert report == {
        "folder": ".",
        "paid": 0,
        "denied": 0,
        "failed": 0,
        "unsound": 0,
        "invoices": [],
    }


def test_a_second_run_finds_what_the_first_has_paid(demo: Demo) -> None:
    demo.put("1.xml", Document(number="A-1"))
    first = demo.start()
    demo.world.approve_all(first)
    paid = demo.finish(first)["invoices"][0]["bank_reference"]
    demo.put("2.xml", Document(number="A-2"))
    second = demo.start()
    assert len(demo.gates(second)) == 1
    demo.world.approve_all(second)
    report = demo.finish(second)
    assert outcomes(report) == {"1.xml": "unsound", "2.xml": "paid"}
    assert report["invoices"][0]["findings"] == [
        {
            "code": "already_paid",
            "rule": "",
            "message": f"The bank has paid A-1 to Fernhill Gartenbau GmbH already: {paid}.",
        }
    ]


def test_two_runs_approved_for_the_same_invoice_pay_it_once(demo: Demo) -> None:
    """Both looked into the ledger before either had paid; the second look is at paying."""
    demo.put("1.xml", Document(number="A-1"))
    first, second = demo.start(), demo.start()
    demo.world.approve_all(first)
    assert outcomes(demo.finish(first)) == {"1.xml": "paid"}
    demo.world.approve_all(second)
    report = demo.finish(second)
    assert outcomes(report) == {"1.xml": "failed"}
    assert (
        "The bank has paid A-1 to Fernhill Gartenbau GmbH already"
        in (report["invoices"][0]["reason"])
    )
    assert len(demo.bank.payments()) == 1


def test_a_line_that_drops_after_the_payment_does_not_pay_twice(demo: Demo) -> None:
    demo.put("1.xml", Document(number="A-1"))
    run = demo.start()
    demo.bank.switch(drop=1)
    demo.world.approve_all(run)
    report = demo.finish(run)
    payment = demo.bank.payments()[0]
    assert len(demo.bank.payments()) == 1
    assert report["invoices"][0]["bank_reference"] == payment["id"]
    counts = demo.bank.calls()[payment["key"]]
    assert (counts["calls"], counts["performed"], counts["replayed"]) == (2, 1, 1)


def test_a_bank_that_is_out_of_order_is_asked_again(demo: Demo) -> None:
    demo.put("1.xml", Document(number="A-1"))
    run = demo.start()
    demo.bank.switch(fail=1)
    demo.world.approve_all(run)
    assert outcomes(demo.finish(run)) == {"1.xml": "paid"}
    assert [(c["failed"], c["performed"]) for c in demo.bank.calls().values()] == [(1, 1)]


def test_a_busy_bank_is_asked_again_when_it_said_and_under_the_same_key(demo: Demo) -> None:
    demo.put("1.xml", Document(number="A-1"))
    run = demo.start()
    demo.bank.switch(busy=1)
    demo.world.approve_all(run)
    assert outcomes(demo.finish(run)) == {"1.xml": "paid"}
    assert [(c["calls"], c["performed"]) for c in demo.bank.calls().values()] == [(2, 1)]
    position = Step.objects.get(run=run, name="send_payment").position
    failed, done = Event.objects.filter(
        run=run, position=position, kind__in=["step.attempt_failed", "step.succeeded"]
    ).order_by("seq")
    assert "The bank is busy (429)" in canonical.decode(failed.body)["error"]["message"]
    assert (done.at - failed.at).total_seconds() >= 1


def test_a_definite_no_of_the_bank_is_not_tried_again(demo: Demo) -> None:
    demo.put("1.xml", Document(number="A-1"))
    run = demo.start()
    demo.bank.switch(refuse=1)
    demo.world.approve_all(run)
    report = demo.finish(run)
    assert outcomes(report) == {"1.xml": "failed"}
    assert report["invoices"][0]["reason"] == (
        "The bank refused (422): The payee's bank refused the payment."
    )
    assert [c["calls"] for c in demo.bank.calls().values()] == [1]
    assert demo.bank.payments() == []


def test_a_folder_that_may_not_be_read_fails_the_run_in_words(demo: Demo) -> None:
    run = demo.start("../..")
    ended = demo.world.run_now(run)
    assert ended.status == "failed"
    assert "is not a folder that the demo reads" in ended.error["message"]


def test_an_amount_beyond_every_rule_stays_held(demo: Demo) -> None:
    demo.put("1.xml", Document(lines=[Item(amount=1_000_000_00)]))
    run = demo.start()
    assert demo.gates(run) == []
    assert [s.status for s in demo.world.steps(run)] == ["succeeded", "succeeded", "held"]


def test_the_tools_that_use_the_key_cannot_be_called_directly(demo: Demo) -> None:
    from console.demo.workflows import already_paid, send_payment

    with pytest.raises(DirectCallRefused):
        send_payment(None, iban=IBAN, amount_minor=1, currency="EUR", reference="x", creditor="y")
    with pytest.raises(DirectCallRefused):
        already_paid(None, invoices=[])
    assert demo.bank.calls() == {}


def test_the_key_of_the_bank_is_in_no_row_of_the_run(demo: Demo) -> None:
    demo.put("1.xml", Document(number="A-1"))
    run = demo.start()
    demo.bank.switch(fail=1)
    demo.world.approve_all(run)
    demo.finish(run)
    kept = [bytes(e.body) for e in Event.objects.filter(run=run)]
    kept += [bytes(s.result or b"") + str(s.error).encode() for s in Step.objects.filter(run=run)]
    assert kept
    assert not any(demo.bank.api_key.encode() in row for row in kept)


@pytest.mark.skipif(not INVOICES.is_dir(), reason="The real invoices are not beside this checkout.")
def test_the_real_invoices_are_read_and_none_is_proposed(demo: Demo) -> None:
    for path in Path(INVOICES).glob("*.xml"):
        (demo.folder / path.name).write_bytes(path.read_bytes())
    run = demo.start()
    assert demo.gates(run) == []
    report = demo.finish(run)
    assert report["unsound"] == 4
