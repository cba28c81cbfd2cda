"""One machine of a declarative file, worked out for this host: which disk, which XML, which pins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from virtkit import host
from virtkit.host.placement.wish import Wish
from virtkit.recipes.placement import auto
from virtkit.recipes.workload import disk_policy
from virtkit.vm import connection, homes, pinning
from virtkit.vm.blueprint import Blueprint, Disk, Nic, derived_mac, machine_xml
from virtkit.vm.domain import Domain

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.recipes.spec import Document, Machine
    from virtkit.vm.pinning import Pins


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
    images = Path(homes.images(connection.default_uri()))
    disk = directory / image.path if image.path else images / f"{name}.{image.format}"
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
    pins, why = _pins(name, document, system)
    return Wanted(machine, directory / image.source, disk, domain, pins, (*notes, *why))


def _pins(name: str, document: Document, system: System) -> tuple[Pins | None, tuple[str, ...]]:
    """The pins, and what is to be said of them."""
    machine = document.spec.machines[name]
    if machine.pin == "none":
        return None, ()
    if machine.pin == "auto":
        chosen = _chosen(document, system)[name]
        return (chosen.pins if chosen.pins.pinned else None), tuple(f"{name}: {note}" for note in chosen.notes)
    available = pinning.host_cpus(system)
    pins = pinning.Pins({vcpu: (cpu,) for vcpu, cpu in machine.pin.items()})
    pinning.check(name, pins, machine.cpus, available)
    return pins, ()


def _chosen(document: Document, system: System) -> dict[str, auto.Auto]:
    """For all machines of the file together, so that none gets what another gets."""
    host_, known = auto.look(system)
    machines = {name: machine for name, machine in document.spec.machines.items() if machine.pin == "auto"}
    wishes = [Wish(name, machine.cpus, machine.memory) for name, machine in machines.items()]
    return auto.of_wishes(wishes, known, host_, stay=True)
