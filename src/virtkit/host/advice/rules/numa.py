"""Memory of several nodes: who moves what, and where it is taken from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.host.advice.case import Profile
from virtkit.host.advice.finding import Recommendation, Weighed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.advice.case import Case
    from virtkit.host.advice.finding import Finding, Rule


def balancing(case: Case) -> Iterator[Finding]:
    """It finds out by page faults where memory is used: of no use where nobody may move."""
    several = len(case.facts.topology.nodes) > 1
    for row in case.at("kernel.numa_balancing"):
        if _nobody_moves(case) and row.now != "0":
            why = "machines are bound to their CPUs: its page faults cost them time, and it may move nothing"
            yield Recommendation(row, "0", why)
        elif several and case.chosen and not _nobody_moves(case) and row.now == "0":
            why = "machines may run on any node: the kernel moves a machine's memory to where it runs"
            yield Recommendation(row, "1", why, cost="page faults now and then")


def _nobody_moves(case: Case) -> bool:
    return case.suits(Profile.REALTIME) or (bool(case.running) and len(case.bound) == len(case.running))


def balancing_against_pins(case: Case) -> Iterator[Finding]:
    bound, free = len(case.bound), len(case.running) - len(case.bound)
    if case.at("kernel.numa_balancing") and len(case.facts.topology.nodes) > 1 and bound and free:
        off = _nobody_moves(case)
        settled = "off: realtime loses most by its page faults" if off else "on: those that move need it"
        yield Weighed("NUMA balancing against pins", f"{bound} machines are bound to CPUs, {free} are not: {settled}")


def reclaim(case: Case) -> Iterator[Finding]:
    for row in case.at("vm.zone_reclaim_mode"):
        if row.now != "0":
            yield Recommendation(row, "0", "a node that is full drops its file cache although other nodes have room")


RULES: tuple[Rule, ...] = (balancing, balancing_against_pins, reclaim)
