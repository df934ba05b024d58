"""`manage.py cancel RUN --user U [--reason R]`"""

from __future__ import annotations

from console.management.runs import SteerCommand


class Command(SteerCommand):
    help = "Ask a run to stop; what it did is undone where its tools say how."
    verb = "cancel"
