"""Secrets and scopes: names, versions and uses are shown; values go in and never come out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from console import access, audit
from console.models import User
from console.pages.faults import focus_first
from console.pages.guard import page, person_of
from credentials.errors import CredentialsError, VaultError
from credentials.models import Lease, Scope, Secret
from credentials.secrets import field_names, grant_scope, revoke_scope, write_secret
from runs.models import Declaration

ROWS = 4
SHOWN_LEASES = 30


class SecretForm(forms.Form):
    """Path, description, and up to `ROWS` fields; values are never rendered again."""

    path = forms.CharField(
        label="Path",
        max_length=128,
        help_text="A name such as bank/payments. Tools ask for a secret by this path.",
    )
    description = forms.CharField(
        label="Description", required=False, max_length=255, help_text="What it is for."
    )
    expected_version = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)

    def __init__(self, *args: Any, names: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for index in range(ROWS):
            self.fields[f"name_{index}"] = forms.CharField(
                label="Field" if not index else f"Field {index + 1}",
                required=False,
                max_length=64,
                initial=names[index] if index < len(names) else "",
            )
            self.fields[f"value_{index}"] = forms.CharField(
                label="Value" if not index else f"Value {index + 1}",
                required=False,
                max_length=65_536,
                strip=False,
                widget=forms.PasswordInput(
                    render_value=False, attrs={"autocomplete": "new-password"}
                ),
            )
        for field in self.fields.values():
            field.widget.attrs.setdefault("class", "input")
            field.widget.attrs.setdefault("autocomplete", "off")

    @property
    def rows(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        return [(self[f"name_{index}"], self[f"value_{index}"]) for index in range(ROWS)]

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        fields: dict[str, str] = {}
        for index in range(ROWS):
            name = (cleaned.get(f"name_{index}") or "").strip()
            value = cleaned.get(f"value_{index}") or ""
            if value and not name:
                self.add_error(f"name_{index}", "Name this field.")
            elif value and name in fields:
                self.add_error(f"name_{index}", "This field is named twice.")
            elif value:
                fields[name] = value
        if not fields and not self.errors:
            self.add_error("value_0", "Type at least one field with its value.")
        cleaned["fields"] = fields
        return cleaned


@page("secrets.view")
def secrets(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    found = list(access.find_secrets(person))
    tools = _tools_wanting_secrets()
    for secret in found:
        in_scope = {scope.tool for scope in secret.scopes.all()}
        secret.grantable = sorted(  # type: ignore[attr-defined]
            tool for tool, path in tools if path == secret.path and tool not in in_scope
        )
    leases = Lease.objects.filter(tenant=person.tenant).select_related("secret", "step")
    context = {
        "secrets": found,
        "wanted": _wanted(tools, found),
        "leases": leases.order_by("-at")[:SHOWN_LEASES],
    }
    return render(request, "credentials/list.html", context)


def _tools_wanting_secrets() -> list[tuple[str, str]]:
    """Each registered tool that asks for a secret, with the path it asks for."""
    declared = Declaration.objects.filter(is_current=True).order_by("tool")
    return [(d.tool, d.body["secret"]) for d in declared if d.body.get("secret")]


def _wanted(tools: list[tuple[str, str]], found: list[Secret]) -> list[str]:
    """What is still missing before each tool can run, in words. A path with a part to be filled
    in, such as a channel, is written where that is made, and missing nowhere."""
    by_path = {secret.path: secret for secret in found}
    said = []
    for tool, path in tools:
        if "{" in path:
            continue
        secret = by_path.get(path)
        if secret is None or not secret.version:
            said.append(f"{tool} needs the secret {path}, which is not written.")
        elif all(scope.tool != tool for scope in secret.scopes.all()):
            said.append(f"{tool} needs {path}, but no scope lets it use it.")
    return said


@sensitive_post_parameters()
@page("secrets.write", methods=("GET", "POST"))
def write(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    path = request.POST.get("path") or request.GET.get("path", "")
    secret = _known(person, path)
    names = _names(secret) if request.method == "GET" else []
    initial = {
        "path": path[:128],
        "description": secret.description if secret else "",
        "expected_version": secret.version if secret else 0,
    }
    form = SecretForm(request.POST or None, names=names or ["api_key"], initial=initial)
    if request.method == "POST" and form.is_valid() and _write(request, form):
        messages.success(request, f"{form.cleaned_data['path']} was written to the vault.")
        return redirect("secrets")
    focus_first(form)
    context = {"form": form, "secret": secret}
    return render(request, "credentials/write.html", context, status=422 if form.errors else 200)


def _known(person: User, path: str) -> Secret | None:
    if not path:
        return None
    try:
        return access.access_secret_by_path(person, path)
    except access.NotFound:
        return None


def _names(secret: Secret | None) -> list[str]:
    if secret is None:
        return []
    try:
        return field_names(secret)[:ROWS]
    except VaultError:
        # Only a convenience: without the vault's answer the names are typed again.
        return []


@sensitive_variables()
def _write(request: HttpRequest, form: SecretForm) -> bool:
    """Whether it was written; a refusal is said by the form.

    The vault takes part in no transaction, so the entry follows the deed at once.
    """
    person = person_of(request)
    given = form.cleaned_data
    try:
        secret = write_secret(
            tenant=person.tenant,
            path=given["path"],
            fields=given["fields"],
            description=given["description"],
            person=person,
            expected_version=given["expected_version"],
        )
    except CredentialsError as refusal:
        form.add_error(None, str(refusal))
        return False
    audit.record(
        person=person,
        action="secret_written",
        subject=f"Secret {secret.path}",
        subject_id=secret.id,
        detail={"version": secret.version, "fields": sorted(given["fields"])},
        request=request,
    )
    return True


@page("secrets.write", methods=("POST",), instead="secrets")
def grant(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    secret = access.access_secret_by_path(
        person, request.POST.get("path", ""), right="secrets.write"
    )
    tool = request.POST.get("tool", "")
    try:
        with transaction.atomic():
            scope = grant_scope(tenant=person.tenant, tool=tool, secret=secret, person=person)
            _record_scope(request, "scope_granted", scope, secret)
    except CredentialsError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"{tool} may now use {secret.path}.")
    return redirect("secrets")


@page("secrets.write", methods=("POST",), instead="secrets")
def revoke(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    scope = _scope(person, request.POST.get("scope", ""))
    if request.POST.get("confirmed") != "yes":
        return render(request, "console/confirm.html", _before_revoking(scope))
    with transaction.atomic():
        _record_scope(request, "scope_revoked", scope, scope.secret)
        revoke_scope(scope)
    messages.success(request, f"{scope.tool} may no longer use {scope.secret.path}.")
    return redirect("secrets")


def _scope(person: User, id: str) -> Scope:
    try:
        return Scope.objects.select_related("secret").get(tenant=person.tenant, id=id)
    except (Scope.DoesNotExist, ValueError, forms.ValidationError):
        raise access.NotFound("There is no such scope.") from None


def _before_revoking(scope: Scope) -> dict[str, Any]:
    return {
        "title": f"Revoke {scope.tool}'s use of {scope.secret.path}?",
        "text": "Steps of this tool fail from now on, until a scope is granted again. "
        "An attempt that has its credential already is not stopped.",
        "hidden": {"scope": scope.id},
        "action": "Revoke",
        "back": reverse("secrets"),
    }


def _record_scope(request: HttpRequest, action: str, scope: Scope, secret: Secret) -> None:
    audit.record(
        person=person_of(request),
        action=action,
        subject=f"{scope.tool} and {secret.path}",
        subject_id=scope.id,
        detail={"tool": scope.tool, "path": secret.path},
        request=request,
    )
