"""`manage.py seed_demo`: the demo's people, rules, secret and first run. Runs as the owner.

What is there already is left as it is, whatever was made of it since: a second `make up`
finds everything as it was left.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from approvals.models import Policy, Reviewer
from approvals.policies import publish
from approvals.rules.document import normalise
from console import audit
from console.demo.bank.keys import keep_api_key
from console.demo.cast import CAST, EXPIRES_AFTER_SECONDS, REVIEWERS_GROUP, RULES, Player, Rule
from console.embedded.home import Home
from console.models import DEFAULT_TENANT, AuditEntry, User
from console.roles import REVIEWER, roles_of, set_roles
from credentials.errors import CredentialsError
from credentials.models import Secret
from credentials.secrets import grant_scope, write_secret
from runs.canonical import CURRENCIES
from runs.lifecycle import start_run
from runs.models import Run

SECRET = "bank/payments"
PAYING_TOOL = "send_payment"
TOOLS_IN_SCOPE = (PAYING_TOOL, "already_paid")
FIRST_RUN = "demo-first-run"


class Command(BaseCommand):
    help = "Fills an empty Placet with the demo; what is there already is left as it is."

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            add_people()
            publish_rules()
        try:
            write_bank_key()
        except CredentialsError as error:
            raise CommandError(f"The bank's key could not be put into the vault: {error}") from None
        start_first_run()
        self.stdout.write("The demo is ready.")


def add_people() -> None:
    password = Home(settings.PLACET_HOME).demo_password()
    for player in CAST:
        person = User.objects.filter(username=player.username).first()
        if person is None:
            _add(player, password)
        else:
            _give_new_roles(player, person)


def _add(player: Player, password: str) -> None:
    person = User(
        username=player.username,
        first_name=player.first_name,
        last_name=player.last_name,
        tenant=DEFAULT_TENANT,
    )
    person.set_password(password)
    person.save(force_insert=True)
    set_roles(person, set(player.roles))
    if REVIEWER in player.roles:
        Reviewer.objects.create(tenant=DEFAULT_TENANT, group=REVIEWERS_GROUP, person=person)
    _record("person_added", person.username, person.pk, {"roles": sorted(player.roles)})


def _give_new_roles(player: Player, person: User) -> None:
    """Roles that the demo's people did not have yet when this demo was made.

    Only for people whom the demo added, and whose roles nobody has set since: what was
    taken back stays taken back, and somebody of the same name is left alone.
    """
    has = roles_of(person)
    told = AuditEntry.objects.filter(subject_id=person.pk)
    is_ours = told.filter(action="person_added", actor="seed_demo").exists()
    if not is_ours or told.filter(action="role_set").exists() or not player.roles - has:
        return
    set_roles(person, set(has | player.roles))
    _record("role_set", person.username, person.pk, {"roles": sorted(roles_of(person))})


def publish_rules() -> None:
    """The rules of the demo, unless there ever was a rule for its payments."""
    if Policy.objects.filter(tenant=DEFAULT_TENANT).exists():
        return
    document = normalise({"v": 1, "rules": [_rule(rule) for rule in RULES]})
    policy = publish(tenant=DEFAULT_TENANT, document=document)
    _record("policy_published", "Policy version 1", policy.pk, {"version": policy.number})


def _rule(rule: Rule) -> dict[str, Any]:
    unit = 10 ** CURRENCIES[rule.currency]
    band = {"above_minor": rule.above * unit, "up_to_minor": rule.up_to * unit}
    return {
        "name": rule.name,
        "when": {"tool": PAYING_TOOL, "amount": {"currency": rule.currency, **band}},
        "then": {
            "consent": {
                "group": REVIEWERS_GROUP,
                "count": rule.quorum,
                "expires_after_seconds": EXPIRES_AFTER_SECONDS,
            }
        },
    }


def write_bank_key() -> None:
    """The key that the sample bank asks for, in the vault, for the two tools that call it."""
    erin = User.objects.get(username="erin")
    secret = Secret.objects.filter(tenant=DEFAULT_TENANT, path=SECRET, version__gt=0).first()
    if secret is None:
        secret = write_secret(
            tenant=DEFAULT_TENANT,
            path=SECRET,
            fields={"api_key": keep_api_key(settings.PLACET_HOME / "bank" / "api-key")},
            description="The API key of the sample bank",
            person=erin,
        )
        _record("secret_written", SECRET, secret.pk, {"version": secret.version})
    # Asked of the audit and not of the scopes: one that Erin took back stays taken back.
    if AuditEntry.objects.filter(action="scope_granted", subject_id=secret.pk).exists():
        return
    with transaction.atomic():
        for tool in TOOLS_IN_SCOPE:
            grant_scope(tenant=DEFAULT_TENANT, tool=tool, secret=secret, person=erin)
            _record("scope_granted", SECRET, secret.pk, {"tool": tool})


def start_first_run() -> None:
    """One run of Alice's, so that the first visit finds gates to decide at."""
    if Run.objects.filter(tenant=DEFAULT_TENANT, idempotency_key=FIRST_RUN).exists():
        return
    with transaction.atomic():
        run, _ = start_run(
            tenant=DEFAULT_TENANT,
            workflow="pay_invoices",
            input={"folder": "samples"},
            requested_by=User.objects.get(username="alice"),
            idempotency_key=FIRST_RUN,
        )
        _record("run_started", "Run of pay_invoices", run.pk, {"for": "alice"})


def _record(action: str, subject: str, subject_id: object, detail: dict[str, Any]) -> None:
    audit.record(
        actor="seed_demo",
        tenant=DEFAULT_TENANT,
        action=action,
        subject=subject,
        subject_id=subject_id,
        detail=detail,
    )
