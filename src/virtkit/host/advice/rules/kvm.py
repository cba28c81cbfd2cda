"""What the KVM modules are started with, and how long they poll."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.host.advice.case import Profile
from virtkit.host.advice.finding import Recommendation, Weighed
from virtkit.host.knob import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.advice.case import Case
    from virtkit.host.advice.finding import Finding, Rule

_POLL = "200000"  # ns; the kernel's default on x86
_QUICK = (Profile.REALTIME, Profile.DATABASE)
_WAKE = Evidence(
    "Linux commit f7819512 and aca6ff29",
    "TCP_RR 34 -> 26.7 us; writes with O_DSYNC 30 -> 60-65 % of bare metal",
    "the commits' own machines, 2015",
)


def second_level(case: Case) -> Iterator[Finding]:
    """Without EPT or NPT every change of a guest's page tables ends in KVM."""
    for name in ("kvm_intel.ept", "kvm_amd.npt"):
        for row in case.at(name):
            if row.now == "0":
                why = "translation of guest memory in hardware is off: KVM shadows every page table by hand"
                yield Recommendation(row, "1", why)


def nested(case: Case) -> Iterator[Finding]:
    for name in ("kvm_intel.nested", "kvm_amd.nested"):
        for row in case.at(name) if case.untrusted else ():
            if row.now != "0":
                why = "tenants that do not trust each other can run hypervisors of their own: code that is seldom tried"
                yield Recommendation(row, "0", why, cost="no machine can run machines")


def huge_page_guard(case: Case) -> Iterator[Finding]:
    """Only ever back on: advice never lowers a guard. CPUs of AMD do not need it."""
    for row in case.at("kvm.nx_huge_pages"):
        if row.now == "0" and case.untrusted and case.facts.cpu.vendor == "GenuineIntel":
            why = "a guest can halt this host (CVE-2018-12207), if its CPU is one of those that Intel names"
            yield Recommendation(row, "1", why)


def polling(case: Case) -> Iterator[Finding]:
    """A host without a CPU to spare cannot burn one."""
    for row in case.at("kvm.halt_poll_ns") if case.chosen else ():
        quick = case.suits(*_QUICK)
        if case.crowded and int(row.now) > 0:
            cpus = len(case.facts.topology.cpus)
            why = f"{case.vcpus} vCPUs run on {cpus} CPUs: a vCPU that polls takes the CPU that another waits for"
            yield Recommendation(row, "0", why, cost="a vCPU that waits wakes up some microseconds later")
        elif quick and not case.crowded and int(row.now) < int(_POLL):
            why = "a vCPU that waits for disk or network wakes up without a trip through the scheduler"
            yield Recommendation(row, _POLL, why, cost="the polling shows up as time of the host", evidence=(_WAKE,))


def polling_against_overcommit(case: Case) -> Iterator[Finding]:
    if case.at("kvm.halt_poll_ns") and case.crowded and case.suits(*_QUICK):
        names = " and ".join(profile for profile in _QUICK if profile in case.profiles)
        settled = (
            f"{names} machines want it; more vCPUs run than there are CPUs, so it is off: move machines away first"
        )
        yield Weighed("halt polling against overcommit", settled, (_WAKE,))


RULES: tuple[Rule, ...] = (second_level, nested, huge_page_guard, polling, polling_against_overcommit)
