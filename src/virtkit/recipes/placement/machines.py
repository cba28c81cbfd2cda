"""What libvirt's machines ask of the host, and where they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.host.placement.wish import Seat, Wish
from virtkit.recipes.advice.guests import page_size
from virtkit.vm import pinning, process
from virtkit.vm.xml import Integer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from virtkit.core.cpuset import CpuSet
    from virtkit.core.system import System
    from virtkit.host.pci import PciDevice
    from virtkit.host.placement.wish import Policy
    from virtkit.vm.connection import Connection
    from virtkit.vm.domain import Domain
    from virtkit.vm.machine import Machine
    from virtkit.vm.pinning import Pins


_THREADS = Integer("cpu/topology@threads")


class Known(NamedTuple):
    name: str
    active: bool
    wish: Wish  # with the policy that it is pinned by
    seat: Seat | None  # where its vCPUs run, or would start; None: on any CPU
    threads: int = 1  # of each core that its guest sees


def known_machines(
    libvirt: Connection, devices: Sequence[PciDevice], cores: Sequence[CpuSet], system: System
) -> list[Known]:
    nodes = {device.address: device.numa_node for device in devices}
    return [_known(machine, nodes, cores, system) for machine in libvirt.machines()]


def _known(machine: Machine, nodes: Mapping[str, int | None], cores: Sequence[CpuSet], system: System) -> Known:
    active = machine.active
    domain = machine.now() if active else machine.next_start()
    seat = _running(machine, system) if active else _written(pinning.of_domain(domain), domain)
    wish = wish_of(machine.name, domain, nodes)
    policy, threads = policy_of(wish, seat, cores), _THREADS.__get__(domain, type(domain)) or 1
    return Known(machine.name, active, wish._replace(policy=policy), seat, threads)


def wish_of(name: str, domain: Domain, nodes: Mapping[str, int | None]) -> Wish:
    """``nodes``: by address of a PCI device."""
    at = (nodes.get(address) for address in _addresses(domain))
    return Wish(
        name=name,
        vcpus=domain.vcpus_on or domain.vcpus,
        memory=domain.memory,
        page_size=page_size(domain),
        devices=tuple(node for node in at if node is not None),
        iothreads=domain.iothread_numbers,
    )


def _addresses(domain: Domain) -> Iterator[str]:
    """Of the host's devices that it has, whole ones and virtual functions behind a network card."""
    for path in ("devices/hostdev[@type='pci']/source/address", "devices/interface[@type='hostdev']/source/address"):
        for node in domain.node.findall(path):
            domain_, bus, slot, function = (
                int(node.get(part, "0"), 16) for part in ("domain", "bus", "slot", "function")
            )
            yield f"{domain_:04x}:{bus:02x}:{slot:02x}.{function}"


def _running(machine: Machine, system: System) -> Seat | None:
    """As the kernel lets its threads run, not as libvirt believes."""
    threads = process.threads(system, process.process_id(system, machine.name))
    vcpus = [frozenset(thread.cpus) for thread in threads if thread.role == process.VCPU]
    emulator = frozenset(cpu for thread in threads if thread.role == process.EMULATOR for cpu in thread.cpus)
    iothreads = {thread.number: frozenset(thread.cpus) for thread in threads if thread.role == process.IOTHREAD}
    return Seat(tuple(vcpus), emulator, iothreads, {}) if vcpus else None


def _written(pins: Pins, domain: Domain) -> Seat | None:
    """Only if every vCPU is pinned."""
    count = domain.vcpus_on or domain.vcpus
    if any(vcpu not in pins.vcpus for vcpu in range(count)):
        return None
    iothreads = {number: frozenset(cpus) for number, cpus in pins.iothreads.items()}
    return Seat(tuple(frozenset(pins.vcpus[vcpu]) for vcpu in range(count)), frozenset(pins.emulator), iothreads, {})


def policy_of(wish: Wish, seat: Seat | None, cores: Sequence[CpuSet]) -> Policy:
    """What its pins amount to. A machine that floats on a single CPU has its emulator there, too."""
    floats = seat is not None and wish.vcpus == 1 and seat.emulator == seat.cpus
    if seat is None or not seat.one_to_one or floats:
        return "shared"
    touched = [core for core in cores if core & seat.cpus]
    alone = len(touched) == wish.vcpus and any(len(core) > 1 for core in touched)
    return "isolate" if alone and wish.vcpus > 1 else "dedicated"
