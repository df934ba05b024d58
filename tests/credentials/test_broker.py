"""Who gets a credential: a claimed, cleared step of a tool in scope. Nobody else, by name."""

from __future__ import annotations

import hashlib
import io
import logging
import traceback
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import httpx
import pytest

from credentials import broker
from credentials.broker import VaultProvider
from credentials.errors import LeaseEnded
from credentials.models import Lease, Scope, Secret
from credentials.redaction import forms, registry
from credentials.secrets import write_secret
from runs.effects import ClaimedStep
from runs.errors import CredentialRefused, CredentialUnavailable
from runs.models import Step
from tests.credentials.room import CANARY, acting_as, execute
from tests.harness import World, admin
from tests.zoo import ledger

FINGERPRINT = hashlib.sha256(CANARY.encode()).hexdigest()


def test_a_claimed_step_in_scope_gets_its_credential_for_the_length_of_the_lease(
    room: World, secret: Secret, claimed: ClaimedStep
) -> None:
    with acting_as(room.servers, "executor"), VaultProvider().lease(claimed) as credential:
        assert credential.secret["api_key"] == CANARY
        assert CANARY not in repr(credential) + str(credential.secret)
        assert credential.scrub([CANARY]) == ["[redacted:bank/payments/api_key]"]
    with pytest.raises(LeaseEnded):
        credential.secret["api_key"]
    assert registry.held == ()
    lease = Lease.objects.get()
    assert (lease.tenant, lease.secret, lease.version) == (room.tenant, secret, 1)
    assert (lease.step_id, lease.attempt) == (claimed.step_id, claimed.attempt)
    assert lease.fence == claimed.fence


def test_a_cleared_money_step_gets_its_credential(room: World, cleared: ClaimedStep) -> None:
    assert cleared.clearance_id is not None
    with acting_as(room.servers, "executor"), VaultProvider().lease(cleared) as credential:
        assert credential.secret["api_key"] == CANARY


def execute_sql(statement: str, *values: object) -> None:
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(statement, values)


def end_claim(room: World, claimed: ClaimedStep) -> ClaimedStep:
    execute_sql(
        "UPDATE runs_stepclaim SET expires_at = clock_timestamp() WHERE step_id = %s",
        claimed.step_id,
    )
    return claimed


def end_step(room: World, claimed: ClaimedStep) -> ClaimedStep:
    execute_sql("UPDATE runs_step SET status = 'succeeded' WHERE id = %s", claimed.step_id)
    return claimed


def revoke(room: World, claimed: ClaimedStep) -> ClaimedStep:
    with acting_as(room.servers, "web"):
        Scope.objects.filter(tool="read_balance").delete()
    return claimed


def forget_row(room: World, claimed: ClaimedStep) -> ClaimedStep:
    execute_sql("DELETE FROM credentials_scope")
    execute_sql("DELETE FROM credentials_secret")
    return claimed


def as_root(room: World, method: str, path: str, body: object = None) -> None:
    httpx.request(
        method,
        f"{room.servers.vault.address}/v1/placet/{path}",
        json=body,
        headers={"X-Vault-Token": room.servers.vault.root_token},
    ).raise_for_status()


def delete_value(room: World, claimed: ClaimedStep) -> ClaimedStep:
    as_root(room, "DELETE", f"data/{room.tenant}/bank/payments")
    return claimed


def shorten_value(room: World, claimed: ClaimedStep) -> ClaimedStep:
    body = {"data": {"api_key": "short"}, "options": {"cas": 1}}
    as_root(room, "POST", f"data/{room.tenant}/bank/payments", body)
    return claimed


def another_secret(room: World, claimed: ClaimedStep) -> ClaimedStep:
    """One that exists and that the tool has a scope for, but did not declare."""
    with acting_as(room.servers, "web"):
        other = write_secret(
            tenant=room.tenant, path="bank/other", fields={"api_key": "another-value"},
            description="", person=room.erin,
        )  # fmt: skip
        Scope.objects.create(
            tenant=room.tenant, tool="read_balance", secret=other, granted_by=room.erin
        )
    return replace(claimed, secret="bank/other")


def undeclare(room: World, claimed: ClaimedStep) -> ClaimedStep:
    execute_sql(
        "UPDATE runs_step SET declaration_id = NULL, is_remote = false WHERE id = %s",
        claimed.step_id,
    )
    return claimed


Change = Callable[[World, ClaimedStep], ClaimedStep]
REFUSALS: dict[str, tuple[Change, str]] = {
    "ended claim": (end_claim, "The claim on the step is lost"),
    "ended step": (end_step, "The step is succeeded: only a running step gets a credential."),
    "another fence": (lambda _, c: replace(c, fence=c.fence + 1), "The claim on the step is lost"),
    "an older fence": (lambda _, c: replace(c, fence=c.fence - 1), "The claim on the step is lost"),
    "another attempt": (lambda _, c: replace(c, attempt=2), "another tool or another attempt"),
    "another tool": (lambda _, c: replace(c, tool="wire_out"), "another tool or another attempt"),
    "another step": (lambda _, c: replace(c, step_id=uuid4()), "There is no such step."),
    "another run": (lambda _, c: replace(c, run_id=uuid4()), "There is no such step."),
    "another tenant": (lambda _, c: replace(c, tenant="other"), "There is no such step."),
    "other arguments": (lambda _, c: replace(c, digest=b"0" * 32), "other arguments than the step"),
    "another key": (lambda _, c: replace(c, key="k"), "other arguments than the step"),
    "another secret": (another_secret, "does not declare the secret 'bank/other'"),
    "no secret": (lambda _, c: replace(c, secret=""), "does not declare the secret ''"),
    "no declaration": (undeclare, "does not declare the secret 'bank/payments'"),
    "a clearance": (lambda _, c: replace(c, clearance_id=uuid4()), "names another clearance"),
    "no scope": (revoke, "The tool read_balance is not in the scope of the secret bank/payments"),
    "no row": (forget_row, "There is no secret bank/payments: an admin has to write it first."),
    "no value": (delete_value, "The vault holds no value at"),
    "short value": (shorten_value, "has fewer than 8 characters"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_everything_else_is_refused_and_leaves_no_lease(
    room: World, claimed: ClaimedStep, name: str
) -> None:
    change, sentence = REFUSALS[name]
    changed = change(room, claimed)
    with acting_as(room.servers, "executor"):
        with pytest.raises(CredentialRefused) as refused, VaultProvider().lease(changed):
            raise AssertionError("a credential was lent")
    assert sentence in str(refused.value)
    assert not Lease.objects.exists()
    assert registry.held == ()


@pytest.mark.parametrize("process", ["worker", "gatekeeper"])
def test_a_process_without_an_identity_is_refused(
    room: World, claimed: ClaimedStep, process: str
) -> None:
    with acting_as(room.servers, process):
        with pytest.raises(CredentialRefused, match="This process has no identity in the vault"):
            with VaultProvider().lease(claimed):
                raise AssertionError("a credential was lent")


def test_one_claim_gets_one_lease(room: World, claimed: ClaimedStep) -> None:
    with acting_as(room.servers, "executor"):
        with VaultProvider().lease(claimed):
            with pytest.raises(CredentialRefused, match="already lent under this claim"):
                with VaultProvider().lease(claimed):
                    raise AssertionError("a credential was lent twice")
    assert Lease.objects.count() == 1


def test_a_claim_that_is_lost_while_the_vault_answers_gets_nothing(
    room: World, claimed: ClaimedStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = broker._read

    def slow(*given: object) -> object:
        found = read(*given)  # type: ignore[arg-type]
        end_claim(room, claimed)
        return found

    monkeypatch.setattr(broker, "_read", slow)
    with acting_as(room.servers, "executor"):
        with pytest.raises(CredentialRefused, match="The claim on the step is lost"):
            with VaultProvider().lease(claimed):
                raise AssertionError("a credential was lent")
    assert not Lease.objects.exists()


def test_a_money_step_without_clearance_is_refused_even_if_a_row_could_say_so(
    room: World, cleared: ClaimedStep
) -> None:
    seen = broker._see(cleared)
    assert seen.step is not None and list(broker._refusals(cleared, seen)) == []
    seen.step.clearance_id = None
    assert list(broker._refusals(replace(cleared, clearance_id=None), seen)) == [
        "The step moves money and has no clearance."
    ]


def test_a_vault_that_is_away_is_no_refusal(room: World, claimed: ClaimedStep) -> None:
    room.servers.vault.stop()
    try:
        with acting_as(room.servers, "executor"):
            with pytest.raises(CredentialUnavailable, match="cannot be reached"):
                with VaultProvider().lease(claimed):
                    raise AssertionError("a credential was lent")
    finally:
        room.servers.vault.start()
    assert not Lease.objects.exists()
    with acting_as(room.servers, "executor"), VaultProvider().lease(claimed) as credential:
        assert credential.secret["api_key"] == CANARY


def test_an_exception_leaves_the_lease_scrubbed(room: World, claimed: ClaimedStep) -> None:
    with acting_as(room.servers, "executor"):
        with pytest.raises(ValueError, match="bad key") as raised:
            with VaultProvider().lease(claimed) as credential:
                raise ValueError("bad key " + credential.secret["api_key"])
    assert str(raised.value) == "bad key [redacted:bank/payments/api_key]"
    shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    assert CANARY not in "".join(shown.format())


def test_a_handler_added_since_the_last_lease_shows_no_value(
    room: World, claimed: ClaimedStep
) -> None:
    out = io.StringIO()
    logger = logging.getLogger("tests.credentials.late")
    logger.addHandler(logging.StreamHandler(out))
    # A handler of another logger, met first, would already have scrubbed the record.
    logger.propagate = False
    with acting_as(room.servers, "executor"), VaultProvider().lease(claimed) as credential:
        logger.warning("with %s", credential.secret["api_key"])
    assert out.getvalue() == "with [redacted:bank/payments/api_key]\n"


def test_the_executor_uses_the_secret_of_a_step(room: World, secret: Secret) -> None:
    run = room.start("reading")
    room.work()
    assert execute(room) == 1
    room.work()
    assert room.run_now(run).status == "succeeded"
    assert [entry["key_sha256"] for entry in ledger("balance-read")] == [FINGERPRINT]
    assert Lease.objects.count() == 1


def test_without_a_scope_the_step_fails_with_the_reason_and_the_tool_never_runs(
    room: World, secret: Secret
) -> None:
    with acting_as(room.servers, "web"):
        Scope.objects.all().delete()
    run = room.start("reading")
    room.work()
    execute(room)
    room.work()
    (step,) = room.steps(run)
    assert step.status == "failed"
    assert step.error is not None
    assert "is not in the scope of the secret bank/payments" in step.error["message"]
    assert ledger("balance-read") == []


def test_each_attempt_has_a_lease_of_its_own(room: World, secret: Secret) -> None:
    run = room.start("blabbing", how="raise")
    room.work()
    for _ in range(100):
        execute(room)
        if Lease.objects.count() == 2:
            break
    assert [lease.attempt for lease in Lease.objects.order_by("fence")] == [1, 2]
    assert room.steps(run)[0].status == "failed"


def everything_stored() -> str:
    """Each row of each table, as text; bytes as hexadecimal, which is one of the forms."""
    with admin() as superuser:
        names = superuser.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        rows = [
            row[0]
            for (name,) in names
            for row in superuser.execute(f'SELECT t::text FROM "{name}" t').fetchall()
        ]
    return "\n".join(rows)


@pytest.mark.parametrize("how", ["return", "raise", "refuse"])
def test_a_value_that_a_tool_gives_away_is_stored_and_logged_nowhere(
    room: World, secret: Secret, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    run = room.start("blabbing", how=how)
    room.work()
    while execute(room) or not Step.objects.get(run=run).finished_at:
        pass
    room.work()
    mark = "[redacted:bank/payments/api_key]"
    stored = everything_stored() + caplog.text
    assert mark in caplog.text
    assert mark.encode().hex() in stored or mark in stored
    assert not [form for form in forms(CANARY) if form in stored]
