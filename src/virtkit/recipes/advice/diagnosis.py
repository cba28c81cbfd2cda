"""The host and its machines, looked at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from virtkit import host, vm
from virtkit.core import plugins
from virtkit.core.plan import Plan
from virtkit.host.painting import tenants
from virtkit.recipes.advice import guests, rules
from virtkit.recipes.advice.wish import MachineAdvice, View
from virtkit.recipes.workload import takes_direct_io
from virtkit.vm.domain import Domain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from virtkit.core.plan import Json
    from virtkit.core.system import System
    from virtkit.host.advice.advising import Advice
    from virtkit.host.advice.case import Profile
    from virtkit.host.picture import HostFacts
    from virtkit.recipes.advice.wish import Rule


class Question(NamedTuple):
    """What the host is for."""

    profile: Profile | None = None  # of the host, and of machines that nobody named
    machines: Mapping[str, Profile] = {}
    untrusted: bool = False  # tenants that do not trust each other


class Diagnosis(NamedTuple):
    advice: Advice
    machines: tuple[MachineAdvice, ...]
    notes: tuple[str, ...]

    @property
    def tuned(self) -> bool:
        """Whether nothing is left but what a person decides."""
        return self.advice.tuned and all(each.wish.by_hand for each in self.machines)

    def data(self) -> dict[str, Json]:
        machines: list[Json] = [each.data() for each in self.machines]
        return {**self.advice.data(), "machines": machines, "notes": list(self.notes), "tuned": self.tuned}


def all_rules() -> list[Rule]:
    return [rule for members in plugins.collect(rules, tuple, "RULES").values() for rule in members]


def diagnose(question: Question, system: System, *, recorded: bool = False) -> Diagnosis:
    """UsageError for a machine that is not there."""
    facts = host.facts(system)
    known, unasked = guests.known(facts, recorded=recorded)
    named = tuple(guests.assigned(known.guests, question.machines, question.profile))
    profiles = [question.profile] if question.profile else []
    advice = host.advise(system, named, profiles, untrusted=question.untrusted, picture=facts)
    views = (
        View(guest, domain, _direct(domain), advice.case, known.qemu)
        for guest, domain in zip(named, known.domains, strict=False)
    )
    machines = tuple(MachineAdvice.of(view, wish) for view in views for rule in all_rules() for wish in rule(view))
    tuners = (
        f"{tuner.name} runs{f' with profile {tuner.profile}' if tuner.profile else ''} and sets {tuner.sets}"
        for tuner in facts.tuners
    )
    return Diagnosis(advice, machines, (*_slow(facts), *_hardly_pinned(facts), *filter(None, [unasked]), *tuners))


def _slow(facts: HostFacts) -> Iterator[str]:
    """No knob makes up for it."""
    if not facts.kvm.usable:
        yield f"KVM cannot be used: {facts.kvm.why}; machines run several times slower, under TCG; {facts.kvm.advice}"


def _hardly_pinned(facts: HostFacts) -> Iterator[str]:
    """taskset(1) on a process moves one thread of many."""
    cpus = facts.topology.cpus
    for tenant in tenants(facts.vms, cpus):
        if tenant.only_by_taskset(cpus):
            count = f"{tenant.pinned} of {tenant.threads} threads pinned"
            yield f"{tenant.name}: {count}, and no vCPU is, as taskset -p leaves it; virtkit vm pin {tenant.name} auto"


def _direct(domain: Domain) -> dict[str, bool]:
    """Whether the file of a disk can be opened with O_DIRECT; block devices and the network's disks can."""
    files = {disk.target: disk.source for disk in domain.disks if disk.type == "file" and disk.source}
    return {target: takes_direct_io(Path(source).parent) for target, source in files.items()}


def redefine(found: Diagnosis) -> Plan:
    """The definitions as they are wished, as far as nobody has to decide; mostly they count from the next start on.

    Errors as ``vm.edit``.
    """
    plan = Plan("")
    for name in dict.fromkeys(each.name for each in found.machines if each.wish.edit and not each.wish.by_hand):
        domain = Domain.parse(vm.definition(name))
        for each in found.machines:
            if each.name == name and each.wish.edit and not each.wish.by_hand:
                each.wish.edit(domain)
        plan += vm.edit(name, domain.text())
    return plan
