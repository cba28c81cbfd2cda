"""Guards between machines: advice raises them and never lowers one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.cpuset import format_list
from virtkit.host.advice.case import Profile
from virtkit.host.advice.finding import Recommendation
from virtkit.host.knob import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.advice.case import Case
    from virtkit.host.advice.finding import Finding, Rule


_LEAKS = (Evidence("Documentation/admin-guide/hw-vuln/l1tf.rst, SMT control"),)


def mitigations(case: Case) -> Iterator[Finding]:
    for row in case.at("cpu.mitigations") if case.untrusted else ():
        if row.now == "off":
            yield Recommendation(
                row,
                "auto",
                "any tenant may read the memory of the host and of the others",
                cost="slower calls into the kernel",
            )


def threads_of_a_core(case: Case) -> Iterator[Finding]:
    """Half of the CPUs: never unasked, and not under machines that are bound to them."""
    why = ""
    if case.untrusted:
        why = "two tenants on the threads of one core can read from each other what its caches hold (L1TF, MDS)"
    elif case.suits(Profile.REALTIME):
        why = "the other thread of its core slows a vCPU down by as much as it likes"
    for row in case.at("smt.control") if why else ():
        if row.now == "on":
            cost = "half of the CPUs, and a fifth to a third of the throughput of most loads"
            yield Recommendation(
                row, "off", why, cost, by_hand=_under_pins(case) or "it takes half of the CPUs away", evidence=_LEAKS
            )


def _under_pins(case: Case) -> str:
    """Machines that would lose the CPUs that they are bound to."""
    gone = case.facts.topology.cpus - {min(core) for core in case.facts.topology.cores}
    losing = [f"{guest.name} (CPU {format_list(guest.pins & gone)})" for guest in case.bound if guest.pins & gone]
    return f"machines are bound to CPUs that would go: {', '.join(losing)}; move them first" if losing else ""


RULES: tuple[Rule, ...] = (mitigations, threads_of_a_core)
