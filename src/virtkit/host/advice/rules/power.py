"""How fast CPUs run and how deep they sleep; virtual machines as hosts have no say in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.host.advice.case import Profile
from virtkit.host.advice.finding import Recommendation
from virtkit.host.advice.stances import Numbers, Stance, weigh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.advice.case import Case
    from virtkit.host.advice.finding import Finding, Rule

_FAST = Stance(
    "performance",
    "a vCPU that wakes up runs at full speed at once; the governor sees the host's threads, not what a guest waits for",
)
_QUICK = {Profile.REALTIME: _FAST, Profile.DATABASE: _FAST}
_BIAS = Stance("0", "the CPU itself leans to speed, not to saving power", fine=Numbers(0, 4))
_COST = "power and heat, also at night"


def governor(case: Case) -> Iterator[Finding]:
    if case.chosen:
        yield from weigh(case, "cpufreq.governor", _QUICK, cost=_COST)


def preference(case: Case) -> Iterator[Finding]:
    if case.chosen:
        yield from weigh(case, "cpufreq.energy_performance_preference", _QUICK, cost=_COST)


def bias(case: Case) -> Iterator[Finding]:
    if case.chosen:
        yield from weigh(case, "cpu.energy_perf_bias", dict.fromkeys(_QUICK, _BIAS), cost=_COST)


def sleep(case: Case) -> Iterator[Finding]:
    """Only for the CPUs that a real-time machine is bound to: who does not sleep leaves less turbo to the others."""
    theirs = frozenset[int]().union(*(guest.pins for guest in case.of(Profile.REALTIME)))
    for row in case.at("cpu.resume_latency_us"):
        if int(row.setting.place) in theirs and row.now == "0":
            why = "a real-time machine is bound to this CPU; it does not sleep deeper than it can wake from in time"
            yield Recommendation(row, "3", why, cost=_COST)


RULES: tuple[Rule, ...] = (governor, preference, bias, sleep)
