"""`manage.py terminate RUN --user U --reason R`"""

from __future__ import annotations

from console.management.runs import SteerCommand


class Command(SteerCommand):
    help = "End a run at once; nothing is undone."
    verb = "terminate"
