"""manage.py token"""

from __future__ import annotations

import pytest

from console.models import ApiToken, AuditEntry
from tests.commands.terminal import as_owner
from tests.harness import World


def test_a_new_token_is_all_that_is_printed_and_opens_what_it_says(world: World) -> None:
    said = as_owner("token", "create", "--user", "alice", "--scopes", "runs:read,runs:write",
               "--name", "nightly", "--expires-days", "30")  # fmt: skip
    plain = said.out.strip()
    assert said.out == f"{plain}\n" and plain.startswith("placet_") and " " not in plain
    token = ApiToken.objects.get()
    assert token.scopes == ["runs:read", "runs:write"]
    assert token.expires_at is not None and (token.expires_at - token.created_at).days in (29, 30)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.subject_id) == (
        "token_created",
        "manage.py (for alice)",
        str(token.id),
    )
    assert plain not in str(entry.detail) + entry.subject


REFUSED = [
    (("--user", "nemo", "--scopes", "runs:read"), "There is no active person named 'nemo'."),
    (("--user", "alice", "--scopes", "runs:fly"), "There is no scope 'runs:fly'; the scopes are"),
    (("--user", "alice", "--scopes", ","), "A token needs at least one scope"),
    (("--user", "alice", "--scopes", "runs:read", "--expires-days", "0"), "--expires-days is from"),
    (("--user", "alice", "--scopes", "runs:read", "--expires-days", "x"), "Error: argument"),
    (("--user", "alice", "--scopes", "runs:read", "--name", "a" * 129), "A name is up to 128"),
    (("--user", "alice", "--scopes", "runs:read", "--name", "a\0b"), "A name is up to 128"),
    (("--user", "alice"), "Error: the following arguments are required: --scopes"),
]


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED)
def test_a_token_that_cannot_be_is_refused_in_a_sentence(
    world: World, arguments: tuple[str, ...], sentence: str
) -> None:
    said = as_owner("token", "create", *arguments)
    assert said.refusal.startswith(sentence), said.refusal
    assert said.out == ""
    assert not ApiToken.objects.exists() and not AuditEntry.objects.exists()


def test_a_revoked_token_is_listed_as_such_and_cannot_be_revoked_again(world: World) -> None:
    as_owner("token", "create", "--user", "alice", "--scopes", "runs:read", "--name", "one")
    token = ApiToken.objects.get()
    assert "live" in as_owner("token", "list").out
    assert (
        as_owner("token", "revoke", str(token.id)).out == f"Token {token.id} of alice is revoked.\n"
    )
    listed = as_owner("token", "list").out
    assert "revoked" in listed and "one" in listed and "placet_" not in listed
    assert as_owner("token", "revoke", str(token.id)).refusal == "The token was revoked before."
    assert as_owner("token", "revoke", "x").refusal == "There is no token 'x'."
    assert AuditEntry.objects.filter(action="token_revoked").count() == 1
