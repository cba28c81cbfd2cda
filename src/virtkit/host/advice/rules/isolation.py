"""Which CPUs are for real-time machines alone, and which keep house. A pin without it promises nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.cpuset import format_list
from virtkit.host.advice.case import Profile
from virtkit.host.advice.finding import Recommendation, Weighed
from virtkit.host.knob import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.cpuset import CpuSet
    from virtkit.host.advice.case import Case
    from virtkit.host.advice.finding import Finding, Rule

_PINNED_ONLY = Evidence(
    "measured",
    "stolen time: unpinned 46.7, 50.4, 51.8 %, pinned 46.9, 54.2, 51.5 %; gaps above 50 us: 665, 777, 1500 against"
    " 505, 1547, 4369",
    "a spinning thread for 3 s beside a load of 10 on 2 CPUs, 3 rounds, kernel 6.18",
)

_ONE_THREAD = Evidence(
    "measured", "taskset -cp 1 PID: 1 thread of 8 on CPU 1, the others on 0-1", "QEMU 7.2 under libvirt, kernel 6.18"
)


def apart(case: Case) -> CpuSet:
    """The whole cores that real-time machines are bound to, else all but one core of each node; never all of them."""
    topology = case.facts.topology
    bound = frozenset[int]().union(*(guest.pins for guest in case.of(Profile.REALTIME)))
    wanted = frozenset[int]().union(*(core for core in topology.cores if core & bound))
    if bound and wanted != topology.cpus:
        return wanted
    return topology.cpus - frozenset[int]().union(*(_first_core(case, node.cpus) for node in topology.nodes))


def _first_core(case: Case, cpus: CpuSet) -> CpuSet:
    return next((core for core in case.facts.topology.cores if cpus and min(cpus) in core), frozenset())


def at_boot(case: Case) -> Iterator[Finding]:
    machines = apart(case) if case.suits(Profile.REALTIME) else frozenset()
    for name, why in (
        ("cpu.isolated", "the scheduler moves nobody onto the CPUs of real-time machines"),
        ("cpu.nohz_full", "no timer interrupts a vCPU that has its CPU for itself"),
        ("cpu.rcu_nocbs", "the kernel's deferred work for these CPUs is done elsewhere"),
    ):
        for row in case.at(name) if machines else ():
            if row.now != format_list(machines):
                cost = "machines that are not pinned must stay off these CPUs: nothing balances them there"
                yield Recommendation(row, format_list(machines), why, cost)


def housekeeping(case: Case) -> Iterator[Finding]:
    machines = apart(case) if case.suits(Profile.REALTIME) else frozenset()
    keeps = format_list(case.facts.topology.cpus - machines)
    for name, why in (
        ("irq.default_affinity", "interrupts of new devices are served beside the machines, not under them"),
        ("workqueue.cpumask", "the kernel's own work runs beside the machines, not under them"),
    ):
        for row in case.at(name) if machines and keeps else ():
            if row.now != keeps:
                yield Recommendation(row, keeps, why, cost=f"CPUs {keeps} have to do for all of it")


def pins_without_isolation(case: Case) -> Iterator[Finding]:
    isolated = case.facts.command_line.isolated
    exposed = [guest for guest in case.bound if not guest.pins <= isolated]
    if exposed and (case.crowded or len(case.bound) < len(case.running) or case.suits(Profile.REALTIME)):
        names = ", ".join(guest.name for guest in exposed)
        yield Weighed(
            "pins against everybody else",
            f"{names}: bound to CPUs on which others may run, too. This promises nothing but warm caches: keep others"
            " away (cpu.isolated, or slice.machine.partition with control groups 2), or do not pin",
            (_PINNED_ONLY,),
        )


def main_thread_alone(case: Case) -> Iterator[Finding]:
    """What ``taskset -p`` does: it binds one thread, and no vCPU is that one."""
    for vm in case.facts.vms:
        main = next((thread for thread in vm.threads if thread.tid == vm.pid), None)
        free = [thread for thread in vm.threads if main is not None and not thread.cpus <= main.cpus]
        if main is not None and len(free) == len(vm.threads) - 1 > 0:
            yield Weighed(
                "taskset against vcpupin",
                f"{vm.name or vm.pid}: 1 of {len(vm.threads)} threads is bound to CPU {format_list(main.cpus)}; taskset"
                " binds the main thread, and the vCPUs run where they like: virtkit vm pin binds them",
                (_ONE_THREAD,),
            )


def too_small(case: Case) -> Iterator[Finding]:
    if case.suits(Profile.REALTIME) and case.facts.topology.cpus and not apart(case):
        cpus = len(case.facts.topology.cpus)
        settled = (
            f"this host has {cpus} CPUs in {len(case.facts.topology.cores)} cores; one core of each node keeps house"
        )
        yield Weighed("real time against the size of the host", f"{settled}, and none is left to set apart")


RULES: tuple[Rule, ...] = (at_boot, housekeeping, pins_without_isolation, main_thread_alone, too_small)
