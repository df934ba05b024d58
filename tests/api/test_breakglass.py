"""Breaking the glass through the API: signed by programs that hold a key of a person."""

from __future__ import annotations

from typing import Any

from approvals import glasskeys
from approvals.models import BreakGlass, BreakGlassConfirmation
from approvals.signing import Signed
from console.pages.passkeys import to_text
from tests.api import callers
from tests.approvals.glasses import asked, let_time_pass, signed, verified
from tests.harness import World


def body_of(signature: Signed) -> dict[str, str]:
    parts = ("client_data", "authenticator_data", "signature")
    told = {name: to_text(getattr(signature.answer, name)) for name in parts}
    return {**told, "key": str(signature.key_id)}


def opening(glass: BreakGlass) -> dict[str, Any]:
    names = ("scope", "subject", "minutes", "reason")
    by = signed(glass.opened_by, glasskeys.opening_challenge(glass))
    told = {name: getattr(glass, name) for name in names}
    return {**told, "id": str(glass.pk), "signed": body_of(by)}


def test_two_open_and_confirm_it_and_somebody_reviews_it(world: World) -> None:
    mallory, erin = callers.with_token(world.mallory), callers.with_token(world.erin)
    dave = callers.with_token(world.dave)
    glass = asked(world, scope="tool", subject="pay")
    shown = mallory.post("breakglass", opening(glass))
    assert shown.status_code == 201
    assert (shown.json()["opened_by"], shown.json()["is_verified"]) == ("mallory", False)

    by = signed(world.erin, glasskeys.confirming_challenge(glass, world.erin.pk))
    told = erin.post(f"breakglass/{glass.pk}/confirm", {"signed": body_of(by)})
    assert (told.status_code, told.json()["confirmed_by"]) == (201, "erin")
    verified()
    (listed,) = dave.get("breakglass").json()["items"]
    assert (listed["is_verified"], listed["because"], listed["found"]) == (True, "", None)
    let_time_pass(31)
    reviewed = dave.post(f"breakglass/{glass.pk}/review", {"found": "It was right."})
    assert (reviewed.status_code, reviewed.json()["found"]) == (201, "It was right.")


def test_what_is_not_signed_as_it_was_asked_is_refused_in_a_sentence(world: World) -> None:
    mallory, erin = callers.with_token(world.mallory), callers.with_token(world.erin)
    glass = asked(world)
    body = opening(glass)
    answer = mallory.post("breakglass", body | {"minutes": 59})
    assert callers.problem(answer) == (409, "signature-refused")
    assert "another statement" in answer.json()["detail"]
    assert mallory.post("breakglass", body | {"signed": None}).status_code == 422
    assert not BreakGlass.objects.exists()
    assert mallory.post("breakglass", body).status_code == 201

    answer = erin.post(f"breakglass/{glass.pk}/confirm", {"signed": body["signed"]})
    assert callers.problem(answer) == (409, "signature-refused")
    assert not BreakGlassConfirmation.objects.exists()
