"""`manage.py pause RUN --user U --reason R`"""

from __future__ import annotations

from console.management.runs import SteerCommand


class Command(SteerCommand):
    help = "Have a run stand still until somebody resumes it."
    verb = "pause"
