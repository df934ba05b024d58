"""Finding what authors declared, and registering it in the database.

Discovery imports the code of agents, so only the worker, the executor and the owner's
commands do it. The others read what the owner registered at `migrate`.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from runs.declare import TOOLS, WORKFLOWS
from runs.models import Declaration, WorkflowDeclaration


def discover() -> None:
    """Imports `workflows` of every installed app and every module of `PLACET_WORKFLOWS`."""
    for config in apps.get_app_configs():
        if importlib.util.find_spec(f"{config.name}.workflows") is not None:
            importlib.import_module(f"{config.name}.workflows")
    for module in settings.PLACET_WORKFLOWS:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise ImproperlyConfigured(
                f"PLACET_WORKFLOWS names {module!r}, which cannot be imported: {error}."
            ) from error


def register() -> None:
    """Writes the declarations of this code; what it no longer declares is kept, not current."""
    digests = [_register_tool(tool.declaration) for tool in TOOLS.values() if tool.is_remote]
    Declaration.objects.exclude(digest__in=digests).update(is_current=False)
    for workflow in WORKFLOWS.values():
        WorkflowDeclaration.objects.update_or_create(
            name=workflow.name,
            defaults={
                "version": workflow.version,
                "schema": workflow.input_model.model_json_schema(),
                "summary": (workflow.function.__doc__ or "").strip().split("\n")[0][:255],
                "is_current": True,
            },
        )
    WorkflowDeclaration.objects.exclude(name__in=WORKFLOWS).update(is_current=False)


def _register_tool(declaration: dict[str, Any]) -> str:
    digest = TOOLS[declaration["name"]].declaration_digest
    Declaration.objects.update_or_create(
        digest=digest,
        defaults={
            "tool": declaration["name"],
            "is_money": declaration["money"] is not None,
            "body": declaration,
            "is_current": True,
        },
    )
    return digest
