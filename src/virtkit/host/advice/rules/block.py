"""Who orders the requests of the host's disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.host.advice.case import Profile
from virtkit.host.advice.stances import Stance, weigh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.advice.case import Case
    from virtkit.host.advice.finding import Finding, Rule
    from virtkit.host.disks import Disk

_QUEUED = ("nvme", "pmem")


def scheduler(case: Case) -> Iterator[Finding]:
    for disk in case.facts.disks:
        stance = _stance(case, disk)
        fair = Stance("bfq", "one writer does not slow down whoever waits for a read", bearable=("mq-deadline",))
        stances = dict.fromkeys(Profile, stance)
        if stance.want == "mq-deadline":
            stances[Profile.DESKTOP] = fair
        yield from weigh(case, "block.scheduler", stances, at=disk.name)


def _stance(case: Case, disk: Disk) -> Stance:
    if disk.name.startswith(_QUEUED):
        return Stance("none", "this disk orders thousands of requests itself: sorting them costs more than it gives")
    if case.virtual(disk):
        why = "this disk is virtual: what is below it sorts once more, and knows the real disk"
        return Stance("none", why, fine=("mq-deadline",), bearable=("bfq",))
    kind = "a rotating disk" if disk.rotating else "a SATA or SAS disk"
    return Stance(
        "mq-deadline", f"{kind} gains by sorted writes, and no read waits behind them for ever", bearable=("bfq",)
    )


RULES: tuple[Rule, ...] = (scheduler,)
