"""What became of the notices that went to a channel, as its steps say."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from approvals.models import Channel, Notice
from approvals.notices import run_key
from runs import canonical, reserved
from runs.models import Run, Step

LOOKED_AT = 10


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The newest notice to a channel, and its step where there is one by now."""

    notice: Notice
    run: Run | None
    step: Step | None

    @property
    def status(self) -> str:
        return str(self.step.status) if self.step else "ready"

    @property
    def error(self) -> str:
        """What its last attempt said, unless it was delivered after all."""
        if self.step is None or not self.step.error or self.step.status == Step.Status.SUCCEEDED:
            return ""
        return str(self.step.error["message"])


def last_deliveries(channel: Channel, most: int = LOOKED_AT) -> list[Delivery]:
    """The newest notices to a channel, with what became of each; newest first."""
    notices = Notice.objects.filter(tenant=channel.tenant, channels__contains=[str(channel.id)])
    found = list(notices.order_by("-written_at", "-id")[:most])
    runs = Run.objects.filter(
        tenant=channel.tenant, idempotency_key__in=[run_key(one.id) for one in found]
    ).defer("input", "result")
    by_key = {run.idempotency_key: run for run in runs}
    steps = Step.objects.filter(
        tenant=channel.tenant, run__in=list(by_key.values()), name=reserved.DELIVER
    )
    by_place: dict[tuple[UUID, bytes], Step] = {
        (step.run_id, bytes(step.arguments)): step for step in steps
    }
    return [_delivery(one, channel, by_key.get(run_key(one.id)), by_place) for one in found]


def _delivery(
    notice: Notice, channel: Channel, run: Run | None, steps: dict[tuple[UUID, bytes], Step]
) -> Delivery:
    asked = canonical.encode({"notice": str(notice.id), "channel": str(channel.id)})
    step = steps.get((run.id, asked)) if run else None
    return Delivery(notice=notice, run=run, step=step)
