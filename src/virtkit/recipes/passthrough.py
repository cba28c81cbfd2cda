"""PCI devices of the host and the machines that have them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from virtkit import vm
from virtkit.core.errors import BusyError, NotSupportedError, VirtkitError
from virtkit.host import pcinames
from virtkit.host.kernel import Kernel
from virtkit.host.passthrough import barrier, require_free, uses
from virtkit.host.pci import read_pci
from virtkit.host.topology import read_topology
from virtkit.vm import connection
from virtkit.vm.cpus import format_cpus, parse_cpus

if TYPE_CHECKING:
    from virtkit.core.plan import Plan
    from virtkit.core.system import System
    from virtkit.host.pci import PciDevice
    from virtkit.vm.connection import Connection
    from virtkit.vm.domain import Domain


class Offer(NamedTuple):
    device: PciDevice
    name: str  # of vendor and device, or their numbers
    barrier: str  # what keeps it from being given to a guest; empty: nothing
    machines: tuple[str, ...]  # whose definitions have it; a running one has it now


def offers(system: System) -> tuple[Offer, ...]:
    """All devices by address; without machines where libvirt does not answer."""
    kernel = Kernel(system)
    devices = read_pci(kernel)
    names, used, owners = pcinames.names(kernel, devices), uses(devices, kernel), _known_owners()
    return tuple(
        Offer(each, names[each.address], barrier(each, devices, used), tuple(owners.get(each.address, ())))
        for each in devices
    )


def hotplug(name: str, address: str, system: System) -> Plan:
    """As ``vm.hotplug_pci``, once this host can spare the device, and no other machine that runs has it."""
    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        if not libvirt.local:
            return vm.hotplug_pci(name, address)
        device = require_free(system, address)
        if libvirt.session:
            require_given(device, system)
        domain = machine.now()
        for other in owners(libvirt).get(device.address, []):
            if other != machine.name and libvirt.named(other).active:
                found = f"{device.address}: machine {other} has it, expected nobody"
                raise BusyError(found, hint=f"virtkit vm unplug {other} pci {device.address}")
        managed = not libvirt.session
    plan = vm.hotplug_pci(name, device.address, managed=managed)
    return replace(plan, notes=(*plan.notes, *_distance(domain, device, system)))


def require_given(device: PciDevice, system: System) -> None:
    """NotSupportedError unless root has given the device to who asks: an ordinary user's libvirt takes none by itself.

    VFIO locks the guest's memory: the user's limit has to be more than that (Documentation/driver-api/vfio.rst).
    """
    file = f"/dev/vfio/{device.iommu_group}"
    if device.driver != "vfio-pci":
        found = f"{device.address}: its driver is {device.driver or 'none'}, expected vfio-pci: root alone changes that"
        raise NotSupportedError(found, hint=f"sudo virtkit host pci bind {device.address}")
    if not os.access(system.path(file), os.R_OK | os.W_OK):
        found = f"{device.address}: {file} is not yours to open"
        hint = (
            f"sudo chown {os.getuid()} {file}; and ulimit -l has to be the guest's memory and 1 GiB more (limits.conf)"
        )
        raise NotSupportedError(found, hint=hint)


def owners(libvirt: Connection) -> dict[str, list[str]]:
    """By address the machines that have a device, now or from their next start."""
    found: dict[str, list[str]] = {}
    for machine in libvirt.machines():
        domains = [machine.now(), *([machine.next_start()] if machine.persistent else [])]
        for address in {address for domain in domains for each in domain.host_devices if (address := each.pci)}:
            found.setdefault(address, []).append(machine.name)
    return found


def _known_owners() -> dict[str, list[str]]:
    try:
        with connection.open(start_daemon=False) as libvirt:
            return owners(libvirt)
    except VirtkitError:
        return {}


def _distance(domain: Domain, device: PciDevice, system: System) -> tuple[str, ...]:
    """Said where the machine's vCPUs are kept away from the node that the device is at."""
    topology = read_topology(Kernel(system))
    node = next((each for each in topology.nodes if each.number == device.numa_node), None)
    pinned = {cpu for pin in domain.vcpu_pins for cpu in parse_cpus(pin.cpus)}
    if node is None or len(topology.nodes) == 1 or not pinned or pinned & node.near:
        return ()
    where = format_cpus(tuple(sorted(pinned)))
    far = f"{device.address} is at NUMA node {node.number}, and the vCPUs are kept on CPU {where} of another"
    return (f"{far}: every access crosses; virtkit host place {domain.name} finds CPUs beside it",)
