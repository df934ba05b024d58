"""The invoices that the project ships: which are sound, and what is wrong with the others."""

from __future__ import annotations

from console.demo.cast import RULES
from console.demo.checks import Checked, check_duplicates, check_file
from console.demo.folders import SAMPLES


def samples() -> list[Checked]:
    files = sorted(SAMPLES.glob("*.xml"))
    return check_duplicates([check_file(p.name, p.read_bytes()) for p in files])


def test_four_are_sound_and_three_are_not() -> None:
    assert {e.file: [str(f.code) for f in e.findings] for e in samples()} == {
        "01-fernhill-gartenbau.xml": [],
        "02-atelier-montclair.xml": [],
        "03-wrenfield-cleaning.xml": [],
        "04-norrsken-elteknik.xml": [],
        "05-harrow-lane-printers.xml": ["payable"],
        "06-castelo-verde.xml": ["invalid_account"],
        "07-fernhill-gartenbau-reminder.xml": ["duplicate"],
    }


def test_the_sound_ones_need_one_person_or_two() -> None:
    """The first visit finds both kinds of gate, and no payment without a rule."""
    quorums = {}
    for entry in samples():
        if entry.is_sound and entry.invoice is not None:
            quorums[entry.file] = [
                rule.quorum
                for rule in RULES
                if rule.currency == entry.invoice.currency
                and rule.above * 100 < entry.amount_minor <= rule.up_to * 100
            ]
    assert list(quorums.values()) == [[1], [2], [1], [1]]
