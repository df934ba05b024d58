from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "console"
    label = "console"
    verbose_name = "Placet"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from console import composition

        composition.compose()
