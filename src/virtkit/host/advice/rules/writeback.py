"""How much written data of machines may wait in the host's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import GIB, MIB, format_size
from virtkit.host.advice.finding import Recommendation
from virtkit.host.knob import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.advice.case import Case
    from virtkit.host.advice.finding import Finding, Rule

_ROTATING, _SOLID = 256 * MIB, GIB  # what such a disk writes in one or two seconds
_SOURCES = (
    Evidence("Documentation/admin-guide/sysctl/vm.rst, dirty_bytes"),
    Evidence("tuned 2.28, profile virtual-host", "writes in the background from 5 % of the memory on, not from 10 %"),
)
_FACTOR = 4  # how far above that a limit has to be to be worth a word


def waiting(case: Case) -> Iterator[Finding]:
    """A share of a large memory is more than a disk can write while somebody waits for a flush."""
    limit, may_wait = _limit(case), _may_wait(case)
    for name, wanted in (("vm.dirty_bytes", limit), ("vm.dirty_background_bytes", limit // 4)):
        for row in case.at(name) if case.chosen and may_wait > limit * _FACTOR else ():
            if row.now == str(wanted):
                continue
            why = (
                f"up to {format_size(may_wait)} of written data wait in memory; a flush of one machine stands behind"
                " them (cache=none does not go through here)"
            )
            cost = f"takes the place of {name.replace('bytes', 'ratio')}; programs that write much wait sooner"
            yield Recommendation(row, str(wanted), why, cost, evidence=_SOURCES)


def _may_wait(case: Case) -> int:
    """At most: the share is of what is available, which changes by the minute."""
    share = int(case.now("vm.dirty_ratio") or 0)
    return (case.facts.memory.total or 0) * share // 100 or int(case.now("vm.dirty_bytes") or 0)


def _limit(case: Case) -> int:
    rotating = any(disk.rotating and not case.virtual(disk) for disk in case.facts.disks)
    return _ROTATING if rotating else _SOLID


RULES: tuple[Rule, ...] = (waiting,)
