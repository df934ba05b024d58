"""`manage.py resume RUN --user U [--reason R]`"""

from __future__ import annotations

from console.management.runs import SteerCommand


class Command(SteerCommand):
    help = "Have a paused or quarantined run go on."
    verb = "resume"
