"""The machines of this host, as the host's advice asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from virtkit.core.errors import UsageError, VirtkitError
from virtkit.core.units import MIB
from virtkit.host.advice.case import Guest, Profile
from virtkit.vm import connection
from virtkit.vm.xml import UNITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from virtkit.core.cpuset import CpuSet
    from virtkit.host.picture import HostFacts
    from virtkit.host.vms import Vm
    from virtkit.vm.domain import Domain

_PAGE = 2 * MIB  # where the definition asks for huge pages and does not say of what size


class Machines(NamedTuple):
    guests: list[Guest]
    domains: list[Domain]  # of the next start of the first of them: those that libvirt knows
    qemu: tuple[int, int]  # major and minor version; (0, 0): not known


def defined() -> Machines:
    """Libvirt's, with the definition of their next start; no daemon is started. MachineError, NotSupportedError."""
    with connection.open(start_daemon=False) as libvirt:
        machines = libvirt.machines()
        domains = [machine.next_start() for machine in machines]
        guests = [
            guest(domain, active=machine.active, now=machine.now())
            for machine, domain in zip(machines, domains, strict=True)
        ]
        version = libvirt.host.ask(int, "getVersion")  # 1000000 * major + 1000 * minor + release
        return Machines(guests, domains, (version // 1_000_000, version // 1000 % 1000))


def guest(domain: Domain, *, active: bool, now: Domain | None = None) -> Guest:
    """``domain`` is what its next start will have, ``now`` what runs."""
    running = now if now is not None else domain
    return Guest(
        name=domain.name,
        profile=None,
        active=active,
        vcpus=running.vcpus_on or running.vcpus,
        memory=domain.memory,
        page_size=page_size(domain),
        shared=any(node.get("mode") == "shared" for node in domain.node.findall("memoryBacking/access")),
        pins=_pins(running),
    )


def page_size(domain: Domain) -> int:
    """Of the huge pages that it asks for, the largest; 0: none."""
    backing = domain.node.find("memoryBacking/hugepages")
    if backing is None:
        return 0
    pages = backing.findall("page")
    return max((int(page.get("size", "0")) * UNITS[page.get("unit", "")] for page in pages), default=_PAGE)


def _pins(domain: Domain) -> frozenset[int]:
    """Where its vCPUs may run, if each of them is pinned."""
    pins = domain.pins
    whole = len(pins) >= (domain.vcpus_on or domain.vcpus)
    return frozenset(cpu for cpus in pins.values() for cpu in cpus) if whole else frozenset()


def seen(facts: HostFacts) -> list[Guest]:
    """The machines that run, as the kernel sees them: where libvirt does not answer, or a record is asked."""
    return [_of_process(vm, facts.topology.cpus) for vm in facts.vms]


def _of_process(vm: Vm, cpus: CpuSet) -> Guest:
    """How much memory it may have, only its definition says: what it takes now is the least."""
    vcpus = [thread for thread in vm.threads if thread.is_vcpu]
    taken = (vm.memory.resident or 0) + (vm.memory.hugetlb or 0)
    pins = frozenset[int]().union(*(thread.cpus for thread in vcpus))
    name = vm.name or f"process {vm.pid}"
    return Guest(name, None, active=True, vcpus=len(vcpus), memory=taken, pins=pins if pins < cpus else frozenset())


def known(facts: HostFacts, *, recorded: bool) -> tuple[Machines, str]:
    """The machines, and why libvirt was not asked for them; empty: it was."""
    running = Machines(seen(facts), [], (0, 0))
    if recorded:
        return running, "this is a record: machines are those that ran"
    if there := urlsplit(connection.default_uri()).hostname:
        return running, f"libvirt of {there} is another host's: only machines that run are known"
    try:
        found = defined()
    except VirtkitError as error:
        return running, f"only machines that run are known: {error.message}"
    names = {each.name for each in found.guests}
    strangers = [each for each in running.guests if each.name not in names]  # QEMU that somebody else started
    return found._replace(guests=[*found.guests, *strangers]), ""


def assigned(guests: Iterable[Guest], profiles: Mapping[str, Profile], rest: Profile | None) -> Iterator[Guest]:
    """With the profiles that somebody gave them, the others ``rest``. UsageError for a machine that is not there."""
    there = list(guests)
    for name in profiles:
        if name not in {each.name for each in there}:
            found = ", ".join(each.name for each in there) or "none"
            raise UsageError(f"--machine {name}: no such machine, expected one of: {found}", hint="virtkit vm list")
    return (each._replace(profile=profiles.get(each.name, rest)) for each in there)
