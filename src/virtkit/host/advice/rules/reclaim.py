"""What the host does when its memory gets short."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.host.advice.case import Profile
from virtkit.host.advice.stances import Numbers, Stance, weigh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.advice.case import Case
    from virtkit.host.advice.finding import Finding, Rule

_KEEP = Stance(
    "10",
    "the memory of a machine looks idle to the host and is not: cached files go first",
    fine=Numbers(1, 10),
    bearable=Numbers(1, 30),
)
_SWAPPINESS = {
    Profile.REALTIME: Stance("1", "what is swapped out stops a machine for milliseconds", fine=Numbers(1, 10)),
    Profile.DATABASE: _KEEP,
    Profile.DESKTOP: _KEEP,
    Profile.WEB: Stance("10", _KEEP.why, fine=Numbers(1, 30)),
    Profile.BUILD: Stance("10", _KEEP.why, fine=Numbers(1, 60)),
}
_STILL = {
    Profile.REALTIME: Stance("0", "compaction in the background takes locks and CPU time from machines"),
}


def swappiness(case: Case) -> Iterator[Finding]:
    """Swap in compressed memory (zram, zswap) is cheap, and the usual advice is wrong for it."""
    if case.facts.memory.swaps and not any("zram" in swap.name for swap in case.facts.memory.swaps):
        yield from weigh(case, "vm.swappiness", _SWAPPINESS)


def compaction(case: Case) -> Iterator[Finding]:
    if case.suits(Profile.REALTIME):
        yield from weigh(case, "vm.compaction_proactiveness", _STILL)


RULES: tuple[Rule, ...] = (swappiness, compaction)
