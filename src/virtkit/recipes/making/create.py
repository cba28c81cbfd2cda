"""A new machine as one plan: its disk, its seed, its definition, its start."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from virtkit import host
from virtkit.core.errors import NotFoundError, SystemCallError, UsageError
from virtkit.core.plan import Plan
from virtkit.core.units import KIB, format_size, round_up
from virtkit.recipes.making import cards, login, places, storage, variables, volumes
from virtkit.recipes.seed import iso9660
from virtkit.recipes.workload import disk_policy
from virtkit.vm import connection, offer, ordinary, osinfo
from virtkit.vm.access import explain
from virtkit.vm.actions import Autostart, Define, Start
from virtkit.vm.blueprint import Blueprint, Disk, check, derived_mac, machine_xml
from virtkit.vm.domain import Domain

if TYPE_CHECKING:
    from virtkit.core.plan import Action
    from virtkit.core.system import System
    from virtkit.recipes.making.order import Order
    from virtkit.recipes.making.storage import Made
    from virtkit.recipes.seed.actions import WriteSeed
    from virtkit.vm.blueprint import Boot, Bus, Nic
    from virtkit.vm.connection import Connection
    from virtkit.vm.osinfo import Guest


def plan_create(order: Order, system: System) -> Plan:
    """Refused before anything is touched: names and paths that are taken, what is not there, what this host cannot."""
    with connection.open() as libvirt:
        places.require_local(libvirt)
        order = replace(order, storage=volumes.resolved(order.name, order.storage, libvirt))
        guest = recognise(order, system)
        places.require_name(libvirt, order.name)
        nics = cards.usual(order.name, libvirt) if order.nics is None else order.nics
        cards.require(order.name, nics, libvirt, system)
        ordinary.require_log(libvirt, order.name, order.serial_log, system)
        blueprint = _machine(order, guest, nics, system)
        check(blueprint)
        offer.require(blueprint, offer.read(libvirt, blueprint.chipset, kvm=blueprint.kvm))
        made = storage.plan(order.name, order.storage, guest.storage, libvirt, system)
        if made.boot:
            boot = made.boot
            blueprint = replace(blueprint, kernel=boot.kernel, initramfs=boot.initrd, kernel_arguments=boot.arguments)
        seed = _seed(order, blueprint.uuid, made, libvirt, system)
        xml = machine_xml(replace(blueprint, disks=_disks(order, blueprint, made, seed, guest)))
        left = variables.fresh(Domain.parse(xml), libvirt, system)
        below = [order.storage.image] if order.storage.by == "overlay" else []
        if order.start:
            explain.require(libvirt, Domain.parse(xml), system, below)
        barred = explain.notes(libvirt, [*explain.files(Domain.parse(xml)), *below], system)
        listed = volumes.refreshes(libvirt, [made.path]) if made.actions else []
    steps: list[Action] = [*made.actions, *([seed] if seed else []), *listed, *left, Define(order.name, xml)]
    steps += [Autostart(order.name, enabled=True)] if order.autostart else []
    steps += [Start(order.name)] if order.start else []
    notes = (*_notes(order, guest, blueprint, system), *made.notes, *barred)
    return Plan(f"create machine {order.name}", tuple(steps), notes)


def recognise(order: Order, system: System) -> Guest:
    """What is known of the operating system: as it was named, or by the label of its installer."""
    if order.os:
        known = osinfo.Database(system)
        if not known:
            found = f"{order.name}: os is {order.os}, and this host has no database of operating systems"
            raise NotFoundError(found, hint="apt install osinfo-db   (dnf install osinfo-db), or leave --os away")
        return known.guest(order.os)
    if order.storage.iso and (label := iso9660.volume_label(_head(order.storage.iso))):
        return osinfo.Database(system).of_iso(label) or osinfo.UNKNOWN
    return osinfo.UNKNOWN


def _head(iso: str) -> bytes:
    try:
        with open(iso, "rb") as file:
            return file.read((iso9660.SYSTEM_AREA + 1) * iso9660.BLOCK)
    except FileNotFoundError as error:
        raise NotFoundError(f"{iso}: no such file") from error
    except OSError as error:
        raise SystemCallError(f"read {iso}", error) from error


def _machine(order: Order, guest: Guest, nics: tuple[Nic, ...], system: System) -> Blueprint:
    """All but its disks."""
    if order.storage.pxe and not nics:
        raise UsageError(f"{order.name}: boots from the network, and has no network card", hint="--bridge br0")
    accelerator = host.kvm(system).accelerator if order.accelerator == "auto" else order.accelerator
    chosen = order.storage
    model = "virtio" if guest.virtio_net else "e1000e" if guest.modern else "e1000"
    more: tuple[Boot, ...] = (*(("cdrom",) if chosen.iso else ()), *(("network",) if chosen.pxe else ()))
    return Blueprint(
        order.name,
        memory=round_up(order.memory or guest.memory, KIB),
        cpus=guest.cpus if order.cpus is None else order.cpus,
        nics=tuple(
            replace(nic, model=model, mac=nic.mac or derived_mac(order.name, index)) for index, nic in enumerate(nics)
        ),
        kvm=accelerator == "kvm",
        uuid=str(uuid4()),
        serial_log=order.serial_log,
        chipset="q35" if guest.modern else "pc",
        firmware=order.firmware or ("efi" if guest.efi_only else "bios"),
        tpm=order.tpm,
        boot=("hd", *more),
        screen=order.screen or bool(more),
    )


def _seed(order: Order, uuid: str, made: Made, libvirt: Connection, system: System) -> WriteSeed | None:
    """Beside the disk that is made; an image that is used where it is gets nothing put beside it."""
    if order.login is None:
        return None
    directory = os.path.dirname(made.path) if made.actions else str(places.directory(libvirt))
    seed = login.seed(order.name, uuid, order.login, directory)
    places.require_free(libvirt, seed.path, system)
    return seed


def _disks(order: Order, blueprint: Blueprint, made: Made, seed: WriteSeed | None, guest: Guest) -> tuple[Disk, ...]:
    """The seed is no CD-ROM: the kernels of cloud images have no driver for one."""
    plain: Bus = "sata" if blueprint.chipset == "q35" else "ide"
    bus: Bus = "virtio" if guest.virtio_disk else plain
    policy = disk_policy(order.workload, Path(made.path).parent)
    disks = [Disk(made.path, made.format, policy.cache, policy.io, bus)]
    if seed:
        disks.append(Disk(seed.path, "raw", bus=bus, read_only=True))
    if order.storage.iso:
        disks.append(Disk(order.storage.iso, "raw", bus=plain, cdrom=True))
    return tuple(disks)


def _notes(order: Order, guest: Guest, blueprint: Blueprint, system: System) -> list[str]:
    notes = [f"{order.name}: made for {guest.name} (libosinfo's {guest.short})"] if guest.short else []
    if guest.least_memory > blueprint.memory:
        found = f"{format_size(blueprint.memory)}, and {guest.name} asks for {format_size(guest.least_memory)}"
        notes.append(f"{order.name}: memory is {found}")
    if (free := _available(system)) and blueprint.memory > free:
        notes.append(f"{order.name}: memory is {format_size(blueprint.memory)}, this host has {format_size(free)} free")
    if not blueprint.kvm:
        notes.append(f"{order.name}: is emulated (TCG), several times slower than KVM{_why_emulated(order, system)}")
    if blueprint.screen:
        notes.append(f"{order.name}: its screen is VNC on a socket file, no TCP port")
    return notes


def _why_emulated(order: Order, system: System) -> str:
    """Nothing where it was asked for."""
    found = host.kvm(system)
    return f": {found.why} (what to do: virtkit host show)" if order.accelerator == "auto" and not found.usable else ""


def _available(system: System) -> int:
    """Bytes that new programs can have without swapping, proc_meminfo(5); 0: not said."""
    for line in system.read_or("/proc/meminfo", "").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * KIB
    return 0
