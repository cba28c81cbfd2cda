"""KSM: on for density, off for speed and for tenants that do not trust each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import format_size
from virtkit.host.advice.case import Profile
from virtkit.host.advice.finding import Recommendation, Weighed
from virtkit.host.advice.merging import merges, refused
from virtkit.host.knob import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.advice.case import Case
    from virtkit.host.advice.finding import Finding, Rule

_SPLIT = Evidence(
    "measured",
    "240 MB saved of two guests of 256 MiB; their huge pages went from 212 to 80 and from 218 to 94 MB, and did not"
    " come back after run=2",
    "two like guests, 25 s, pages_to_scan 20000, thp.enabled=madvise, kernel 6.18",
)
_DENSE = (Profile.DESKTOP, Profile.WEB, Profile.BUILD)


def run(case: Case) -> Iterator[Finding]:
    """Off is 2 where something is merged: with 0 it stays merged."""
    for row in case.at("ksm.run"):
        merged = bool(case.facts.ksm and case.facts.ksm.pages_sharing)
        if refused(case) and (row.now == "1" or (row.now == "0" and merged)):
            yield Recommendation(row, "2", refused(case), cost="what was merged takes its memory again")
        elif merges(case) and row.now != "1":
            yield Recommendation(row, "1", _short(case), cost="CPU time, and the huge pages of what is merged")


def _short(case: Case) -> str:
    memory = case.facts.memory
    total, available = memory.total or 0, memory.available or 0
    return (
        f"machines may ask for {format_size(case.promised)} of {format_size(total)}, {format_size(available)} are"
        " available: like pages of like machines are kept once"
    )


def advisor(case: Case) -> Iterator[Finding]:
    for row in case.at("ksm.advisor_mode") if merges(case) or case.now("ksm.run") == "1" else ():
        if row.now != "scan-time" and "scan-time" in row.legal and not refused(case):
            yield Recommendation(
                row, "scan-time", "the kernel itself paces the search, as ksmtuned tries and with libvirt does not do"
            )


def nodes(case: Case) -> Iterator[Finding]:
    """The kernel takes this only while nothing is merged."""
    merged = case.facts.ksm is not None and bool(case.facts.ksm.pages_shared)
    several = len(case.facts.topology.nodes) > 1
    for row in case.at("ksm.merge_across_nodes") if merges(case) and several and not merged else ():
        if row.now != "0":
            yield Recommendation(row, "0", "one copy in each node: no machine reads its own memory from afar")


def against_huge_pages(case: Case) -> Iterator[Finding]:
    """Density or speed: KSM takes huge pages apart to find like small ones in them."""
    short = case.short_of_memory and len(case.running) > 1
    if not case.chosen or not (short or case.now("ksm.run") == "1"):
        return
    if why := refused(case):
        yield Weighed("KSM against huge pages", f"KSM is off: {why}", (_SPLIT,))
    elif merges(case) and case.suits(*_DENSE):
        yield Weighed(
            "KSM against huge pages",
            "KSM is on: memory is short, and these machines can do with small pages; what it merges loses its huge"
            " pages. A machine that must not: <memoryBacking><nosharepages/></memoryBacking>",
            (_SPLIT,),
        )


RULES: tuple[Rule, ...] = (run, advisor, nodes, against_huge_pages)
