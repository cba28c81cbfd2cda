"""Transparent huge pages: for those who ask, and QEMU asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.host.advice.case import Profile
from virtkit.host.advice.finding import Recommendation
from virtkit.host.advice.merging import merges
from virtkit.host.advice.stances import Stance, weigh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.advice.case import Case
    from virtkit.host.advice.finding import Finding, Rule

_ASKED = Stance(
    "madvise",
    "QEMU asks for huge pages for all of a guest's memory: this is enough for machines, and leaves programs of the"
    " host that suffer from them alone",
    bearable=("always",),
)
_ENABLED = {
    Profile.REALTIME: Stance(
        "never",
        "guests have hugetlb pages of their own; what is left cannot stall them while it is compacted or collapsed",
        bearable=("madvise",),
    ),
    Profile.DATABASE: Stance(
        _ASKED.want, f"{_ASKED.why}; a database in a guest is the load that gains most by them", bearable=("always",)
    ),
    Profile.DESKTOP: _ASKED,
    Profile.WEB: _ASKED,
    Profile.BUILD: _ASKED,
}

_LATER = Stance(
    "defer+madvise",
    "QEMU waits for huge pages when a guest touches its memory first, and nobody else on the host ever does",
    bearable=("madvise", "defer"),
)
_DEFRAG = {
    Profile.REALTIME: Stance(
        "defer", "nobody waits while memory is compacted: that is done in the background", fine=("never",)
    ),
    Profile.DATABASE: Stance(
        "madvise",
        "a guest waits once, at its start, and has huge pages from then on; the host's programs do not wait",
        fine=("defer+madvise",),
    ),
    Profile.DESKTOP: _LATER,
    Profile.WEB: _LATER,
    Profile.BUILD: _LATER,
}


def enabled(case: Case) -> Iterator[Finding]:
    return weigh(case, "thp.enabled", _ENABLED)


def defrag(case: Case) -> Iterator[Finding]:
    return weigh(case, "thp.defrag", _DEFRAG)


def shared_memory(case: Case) -> Iterator[Finding]:
    """``thp.enabled`` says nothing about memory that machines share with other programs."""
    shared = [guest.name for guest in case.guests if guest.shared]
    for row in case.at("thp.shmem_enabled") if shared else ():
        if row.now in {"never", "deny"} and "advise" in row.legal:
            why = f"{', '.join(shared)}: memory is shared (vhost-user, virtiofs), so its huge pages hang on this"
            yield Recommendation(row, "advise", why)


def collapse(case: Case) -> Iterator[Finding]:
    """The kernel's khugepaged fills holes with zeroes to make a huge page; what KSM took apart would be made anew."""
    for row in case.at("khugepaged.max_ptes_none") if merges(case) else ():
        if row.now != "0":
            yield Recommendation(
                row, "0", "KSM is to save memory here, and khugepaged would fill up again what KSM has emptied"
            )


RULES: tuple[Rule, ...] = (enabled, defrag, shared_memory, collapse)
