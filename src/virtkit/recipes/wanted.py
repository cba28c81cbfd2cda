"""One machine of a declarative file, worked out for this host: which disk, which XML, which pins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from virtkit import host
from virtkit.recipes.workload import disk_policy
from virtkit.vm import pinning
from virtkit.vm.blueprint import Blueprint, Disk, Nic, derived_mac, machine_xml
from virtkit.vm.domain import Domain

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.recipes.spec import Document, Machine
    from virtkit.vm.pinning import Pins

IMAGES = Path("/var/lib/libvirt/images")  # libvirt's default pool: labelled for QEMU by SELinux and AppArmor


class Wanted(NamedTuple):
    machine: Machine
    source: Path
    disk: Path
    domain: Domain  # as it shall be defined, without pins
    pins: Pins | None  # None: not pinned, and what is pinned by hand stays
    notes: tuple[str, ...]


def work_out(document: Document, name: str, system: System) -> Wanted:
    """UsageError for what this host cannot give (a CPU that is not there)."""
    machine = document.spec.machines[name]
    directory = document.path.resolve().parent
    image = machine.image
    disk = directory / image.path if image.path else IMAGES / f"{name}.{image.format}"
    policy = disk_policy(machine.workload, disk.parent)
    accelerator = host.kvm(system).accelerator if machine.accelerator == "auto" else machine.accelerator
    blueprint = Blueprint(
        name,
        memory=machine.memory,
        cpus=machine.cpus,
        disks=(Disk(str(disk), image.format, policy.cache, policy.io),),
        nics=tuple(
            Nic(bridge=nic.network, mac=nic.mac or derived_mac(name, index)) for index, nic in enumerate(machine.nics)
        ),
        kvm=accelerator == "kvm",
        serial_log=str(directory / machine.serial_log) if machine.serial_log else "",
    )
    domain = Domain.parse(machine_xml(blueprint))
    notes = (f"{name}: cache {policy.cache}, io {policy.io} for workload {machine.workload}: {policy.why}",)
    return Wanted(machine, directory / image.source, disk, domain, _pins(name, machine, system), notes)


def _pins(name: str, machine: Machine, system: System) -> Pins | None:
    if machine.pin == "none":
        return None
    available = pinning.host_cpus(system)
    if machine.pin == "auto":
        return pinning.spread(machine.cpus, available)
    pins = pinning.Pins({vcpu: (cpu,) for vcpu, cpu in machine.pin.items()})
    pinning.check(name, pins, machine.cpus, available)
    return pins
