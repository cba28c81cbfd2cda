"""What ``vm list`` and ``vm show`` tell of a machine: plain records, the keys of the JSON output."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.vm import forwards, labels, library, nics
from virtkit.vm.addresses import addresses
from virtkit.vm.blueprint import MADE_BY
from virtkit.vm.drift import of_machine
from virtkit.vm.pinning import host_cpus, present
from virtkit.vm.process import pinned, process_id, threads

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.vm.addresses import Address
    from virtkit.vm.connection import Connection
    from virtkit.vm.cpus import Cpus
    from virtkit.vm.difference import Change
    from virtkit.vm.domain import Domain
    from virtkit.vm.forwards import Forward
    from virtkit.vm.labels import Label
    from virtkit.vm.machine import Machine
    from virtkit.vm.process import Thread

DEFAULT_CACHE = "writeback"  # QEMU's since 1.2 (2012), where the XML says nothing


class Summary(NamedTuple):
    name: str
    uuid: str
    id: int | None  # while it runs
    state: str  # virsh's words: running, shut off, paused ...
    active: bool
    persistent: bool
    autostart: bool
    type: str  # libvirt's word: kvm, or qemu for emulation (TCG)
    kvm: bool
    vcpus: int  # that it has now, or will start with
    vcpus_maximum: int
    memory: int  # bytes that it has now (balloon), or will start with
    memory_maximum: int  # bytes


class DiskLine(NamedTuple):
    target: str
    device: str  # disk, cdrom ...
    source: str
    format: str
    bus: str
    cache: str  # what QEMU was told or, where nobody told it, does by default
    cache_default: bool
    io: str


class NicLine(NamedTuple):
    mac: str
    model: str
    type: str
    source: str
    bridge: str  # that it is in: known while it runs
    tap: str
    link: str
    forwards: tuple[Forward, ...] = ()  # ports of the host that lead to it


class Details(NamedTuple):
    summary: Summary
    title: str
    made_by_virtkit: bool
    chipset: str
    cpu: str
    vcpu_pins: dict[int, Cpus]  # what libvirt holds, for all vCPUs; "not pinned" is all CPUs
    emulator_pin: Cpus
    threads: tuple[Thread, ...]  # of the running process, as the kernel has them
    pinned: int  # of those: that may not run on every CPU that machines may have
    disks: tuple[DiskLine, ...]
    nics: tuple[NicLine, ...]
    addresses: tuple[Address, ...]
    agent: bool  # whether an agent has opened its channel
    console: str  # the pseudo terminal, while it runs
    serial_log: str
    labels: tuple[Label, ...]  # sVirt
    drift: tuple[Change, ...]  # what the next start will have otherwise


def summarise(machine: Machine) -> Summary:
    domain = machine.now()
    return Summary(
        name=machine.name,
        uuid=machine.uuid,
        id=machine.id,
        state=machine.state,
        active=machine.active,
        persistent=machine.persistent,
        autostart=machine.starts_with_host,
        type=domain.type,
        kvm=domain.type == "kvm",
        vcpus=domain.vcpus_on or domain.vcpus,
        vcpus_maximum=domain.vcpus,
        memory=domain.balloon or domain.memory,
        memory_maximum=domain.memory,
    )


def describe(machine: Machine, libvirt: Connection, system: System) -> Details:
    domain = machine.now()
    pins = present(machine, library.LIVE if machine.active else library.CONFIG)
    seen = threads(system, process_id(system, machine.name)) if machine.active and libvirt.local else []
    return Details(
        summary=summarise(machine),
        title=domain.title,
        made_by_virtkit=any(node.get("xmlns:virtkit") == MADE_BY for node in domain.node.findall("metadata/*")),
        chipset=domain.machine,
        cpu=domain.cpu_model or domain.cpu_mode,
        vcpu_pins=dict(pins.vcpus),
        emulator_pin=pins.emulator,
        threads=tuple(seen),
        pinned=pinned(seen, host_cpus(system).allowed) if seen else 0,
        disks=_disks(domain),
        nics=_nics(domain, system),
        addresses=tuple(addresses(machine, system, prime=False)),
        agent=domain.agent_connected,
        console=next((console.path for console in domain.consoles), ""),
        serial_log=next((serial.log for serial in domain.serials), ""),
        labels=labels.read(machine, libvirt),
        drift=of_machine(machine),
    )


def _disks(domain: Domain) -> tuple[DiskLine, ...]:
    return tuple(
        DiskLine(
            target=disk.target,
            device=disk.device or "disk",
            source=disk.source,
            format=disk.format,
            bus=disk.bus,
            cache=disk.cache or DEFAULT_CACHE,
            cache_default=not disk.cache,
            io=disk.io or "threads",
        )
        for disk in domain.disks
    )


def _nics(domain: Domain, system: System) -> tuple[NicLine, ...]:
    return tuple(
        NicLine(
            mac=nic.mac,
            model=nic.model,
            type=nic.type,
            source=nic.source,
            bridge=nics.master(system, nic.tap) if nic.tap else nic.bridge,
            tap=nic.tap,
            link=nic.link or "up",
            forwards=tuple(forwards.of(nic)),
        )
        for nic in domain.nics
    )
