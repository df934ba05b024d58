from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "runs"
    label = "runs"
    verbose_name = "Durable runs"
    default_auto_field = "django.db.models.BigAutoField"
