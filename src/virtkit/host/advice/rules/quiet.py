"""What a real-time host does not do beside its machines; nobody else gains by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.host.advice.case import Profile
from virtkit.host.advice.stances import Numbers, Stance, weigh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.advice.case import Case
    from virtkit.host.advice.finding import Finding, Rule

_QUIET = {
    "vm.stat_interval": Stance(
        "10", "the kernel counts its pages on every CPU once a second, now every ten", Numbers(10, 3600)
    ),
    "kernel.timer_migration": Stance("0", "timers of other CPUs do not come to those of the machines"),
    "kernel.nmi_watchdog": Stance("0", "a watchdog interrupts every CPU several times a minute"),
    "net.core.busy_poll": Stance(
        "50", "programs of the host that wait for the network ask the card", Numbers(50, 1000)
    ),
    "net.core.busy_read": Stance(
        "50", "programs of the host that wait for the network ask the card", Numbers(50, 1000)
    ),
}
_COSTS = {
    "kernel.nmi_watchdog": "a CPU that hangs is not reported",
    "net.core.busy_poll": "a CPU, while it waits",
    "net.core.busy_read": "a CPU, while it waits",
}
_SHARES = (
    "each session gets the same share, and nice counts only within one: a build in a terminal weighs like a service"
)


def quiet(case: Case) -> Iterator[Finding]:
    for name, stance in _QUIET.items() if case.suits(Profile.REALTIME) else ():
        yield from weigh(case, name, {Profile.REALTIME: stance}, cost=_COSTS.get(name, ""))


def real_time_throttle(case: Case) -> Iterator[Finding]:
    """5 % of each second are kept for others: a safety net that a person takes away, after isolating CPUs."""
    if case.suits(Profile.REALTIME):
        stance = Stance(
            "-1", "vCPUs with a FIFO priority lose the CPU for 50 ms of each second in which they never wait"
        )
        by_hand = "a vCPU that spins then hangs its CPU for good: isolate the CPUs first"
        yield from weigh(case, "kernel.sched_rt_runtime_us", {Profile.REALTIME: stance}, by_hand=by_hand)


def sessions(case: Case) -> Iterator[Finding]:
    others = (Profile.REALTIME, Profile.DATABASE, Profile.WEB, Profile.BUILD)
    if case.chosen and not case.suits(Profile.DESKTOP):
        yield from weigh(case, "kernel.sched_autogroup_enabled", dict.fromkeys(others, Stance("0", _SHARES)))


RULES: tuple[Rule, ...] = (quiet, real_time_throttle, sessions)
