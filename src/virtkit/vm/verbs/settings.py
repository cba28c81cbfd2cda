"""A machine's settings: by field or as a whole, and what waits for its next start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.core.plan import Plan
    from virtkit.vm.difference import Change
    from virtkit.vm.domain import Domain
    from virtkit.vm.edits import DiskSettings, NicSettings
    from virtkit.vm.machine import Machine


def set_cpu(name: str, count: int | None = None, *, most: int | None = None, later: bool = False) -> Plan:
    """``count`` vCPUs of at most ``most``, which is fixed when the machine starts."""
    from virtkit.vm import edits
    from virtkit.vm.knobs.vcpus import as_used

    def edit(domain: Domain) -> None:
        edits.set_cpus(domain, count or min(domain.vcpus_on or domain.vcpus, most or domain.vcpus), most)

    return _plan(name, "vCPUs", edit, later=later, look=as_used)


def set_memory(
    name: str,
    size: int | None = None,
    *,
    most: int | None = None,
    room: int | None = None,
    slots: int = 8,
    later: bool = False,
) -> Plan:
    """Bytes. ``size``: what the guest keeps; ``most``: what it starts with; ``room``: how far it can be plugged up."""
    from virtkit.vm import edits

    def edit(domain: Domain) -> None:
        if size or most:
            edits.set_memory(domain, size or min(domain.balloon or domain.memory, most or domain.memory), most)
        if room:
            edits.set_room(domain, room, slots)

    return _plan(name, "memory", edit, later=later)


def set_disk(name: str, target: str, settings: DiskSettings, *, later: bool = False) -> Plan:
    from virtkit.vm import edits

    return _plan(name, f"disk {target}", lambda domain: edits.set_disk(domain, target, settings), later=later)


def set_nic(name: str, mac: str, settings: NicSettings, *, later: bool = False) -> Plan:
    """``mac`` says which card if the machine has several. NotSupportedError for what an ordinary user's cannot have."""
    from virtkit.core.system import System
    from virtkit.vm import connection, edits, forwards, nics, ordinary

    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        place = {"bridge": settings.bridge or "", "network": settings.network or ""}
        ordinary.require(libvirt, machine.name, System(), **place)
        forwards.require(libvirt, machine.name, settings.forwards or ())
        mac = nics.choose(machine.name, machine.now(), mac).mac
    return _plan(name, f"network card {mac}", lambda domain: edits.set_nic(domain, mac, settings), later=later)


def set_ports(name: str, count: int) -> Plan:
    """``count`` more PCI Express ports for devices that are plugged in while the machine runs."""
    from virtkit.vm import edits

    return _plan(name, "PCI Express ports", lambda domain: edits.add_ports(domain, count), later=True)


def set_serial_log(name: str, path: str) -> Plan:
    """What its serial console says is kept in ``path`` from the next start; empty: no longer.

    NotSupportedError where an ordinary user may not write.
    """
    from virtkit.core.system import System
    from virtkit.vm import connection, edits, ordinary

    with connection.open() as libvirt:
        ordinary.require_log(libvirt, name, path, System())
    return _plan(name, "serial log", lambda domain: edits.set_serial_log(domain, path), later=True)


def add_screen(name: str) -> Plan:
    """A video card, and VNC on a socket file that is no TCP port, from the next start."""
    from virtkit.vm import edits

    return _plan(name, "screen", edits.add_screen, later=True)


def edit(name: str, xml: str) -> Plan:
    """The definition becomes ``xml``; what can change in the running machine changes there, too.

    UsageError for an empty document, NotSupportedError for another name or UUID, and for passwords.
    """
    from virtkit.vm import connection, plugging, secrets, settling
    from virtkit.vm.domain import Domain

    if not xml.strip():
        raise UsageError("edit: the document is empty, expected a machine's XML", hint=f"virtkit vm edit {name}")
    later = Domain.parse(xml)
    secrets.refuse(later)
    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        later.uuid = later.uuid or machine.uuid
        plugging.name_devices(later)
        return settling.raw(f"edit machine {machine.name}", machine, later, libvirt)


def definition(name: str) -> str:
    """The XML of the next start, with stars for passwords: what ``edit`` takes back."""
    from virtkit.vm import connection

    with connection.open() as libvirt:
        return libvirt.machine(name).next_start().text()


def diff(name: str) -> tuple[Change, ...]:
    """What runs (``old``) otherwise than the next start will have it (``new``); nothing for a machine that is off."""
    from virtkit.vm import connection
    from virtkit.vm.drift import of_machine

    with connection.open() as libvirt:
        return of_machine(libvirt.machine(name))


def _plan(
    name: str,
    what: str,
    edit: Callable[[Domain], None],
    *,
    later: bool,
    look: Callable[[Machine], Domain] | None = None,
) -> Plan:
    """``edit`` is made on the definition and, unless ``later``, on the running machine's (as ``look`` has it)."""
    from virtkit.vm import connection, settling
    from virtkit.vm.difference import changes
    from virtkit.vm.domain import Domain

    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        before = look(machine) if look else machine.now()
        wanted, now = machine.next_start(), Domain.parse(before.text())
        edit(wanted)
        if not later:
            edit(now)
        live = changes(before.node, now.node)
        return settling.settle(
            f"set {what} of machine {machine.name}", machine, settling.Wanted(wanted, now, live), libvirt
        )
