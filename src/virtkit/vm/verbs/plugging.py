"""Devices are plugged into a machine and out of it: now if it runs, and from its next start on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotFoundError, NotSupportedError, UsageError
from virtkit.core.plan import Plan
from virtkit.core.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from virtkit.vm.domain import Domain
    from virtkit.vm.forwards import Forward
    from virtkit.vm.xml import Element

CRASHES = (
    "under TCG, QEMU 7.2 ends with a double free when a vCPU is taken out: the guest stops using it now, "
    "QEMU keeps it until the machine is off"
)
FOLLOWS = "the new vCPUs float on the CPUs of the others: virtkit host place gives them CPUs of their own"
NO_WAY_BACK = "a guest seldom lets go of a memory module while it runs; of virtio-mem it does (--virtio-mem)"


def hotplug_cpu(name: str, count: int = 1) -> Plan:
    """``count`` more vCPUs, brought online by the guest's agent; NotSupportedError where QEMU has no room for them."""
    from virtkit.vm import actions, connection, pinning
    from virtkit.vm.knobs.vcpus import as_used
    from virtkit.vm.verbs.settings import set_cpu

    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        domain = as_used(machine)
        wanted = (domain.vcpus_on or domain.vcpus) + count
        if machine.active and wanted > domain.vcpus:
            hint = f"virtkit vm set {machine.name} cpu --most {wanted}, then virtkit vm stop and virtkit vm start"
            found = f"{machine.name}: was started with room for {domain.vcpus} vCPUs, expected room for {wanted}"
            raise NotSupportedError(found, hint=hint)
        followed = pinning.followed(machine, domain, wanted)
    plan = set_cpu(name, wanted)
    title = f"plug {_vcpus(count)} into machine {machine.name}"
    if followed is None or not plan:
        return Plan(title, plan.actions, plan.notes)
    return Plan(title, (*plan.actions, actions.Pin.of(machine.name, followed)), (*plan.notes, FOLLOWS))


def unplug_cpu(name: str, count: int = 1) -> Plan:
    """``count`` fewer: taken offline by the guest's agent first. UsageError if none would be left."""
    from virtkit.vm import connection
    from virtkit.vm.knobs.vcpus import as_used
    from virtkit.vm.verbs.settings import set_cpu

    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        domain = as_used(machine)
        notes = (CRASHES,) if machine.active and domain.type == "qemu" else ()
        left = (domain.vcpus_on or domain.vcpus) - count
        if left < 1:
            raise UsageError(f"{machine.name}: {left} vCPUs would be left, expected 1 or more")
        if machine.active and not domain.agent_connected:
            raise NotSupportedError(
                f"{machine.name}: no guest agent takes vCPUs offline, and one in use is not taken out"
            )
    plan = set_cpu(name, left)
    return Plan(f"take {_vcpus(count)} out of machine {machine.name}", plan.actions, (*plan.notes, *notes))


def hotplug_memory(name: str, size: int, *, virtio: bool = False) -> Plan:
    """A module of ``size`` bytes, or as much of a virtio-mem device, which gives it back more easily."""
    from virtkit.vm import plugging

    model = plugging.VIRTIO_MEM if virtio else plugging.DIMM
    plan = _plug(name, "memory", lambda domain: plugging.memory(domain, size, model))
    return plan if virtio or not plan else Plan(plan.title, plan.actions, (*plan.notes, NO_WAY_BACK))


def hotplug_disk(
    name: str,
    path: str,
    image_format: str,
    *,
    bus: str = "virtio",
    target: str = "",
    cache: str = "",
    readonly: bool = False,
) -> Plan:
    """``path`` is absolute; ``target`` is the next free one if it is empty."""
    from virtkit.vm import plugging

    def make(domain: Domain) -> Element:
        return plugging.disk(domain, path, image_format, bus=bus, target=target, cache=cache, readonly=readonly)

    return _plug(name, f"disk {path}", make)


def hotplug_nic(
    name: str,
    *,
    bridge: str = "",
    network: str = "",
    user: bool = False,
    forwards: Sequence[Forward] = (),
    model: str = "virtio",
    mac: str = "",
    system: System | None = None,
) -> Plan:
    """Into a bridge of the host, a network of libvirt's, or (``user``) onto QEMU's own NAT, with ``forwards`` into it.

    ``mac`` follows from the machine's name if it is empty. NotSupportedError for what an ordinary user's cannot have.
    """
    from virtkit.vm import connection, ordinary, plugging
    from virtkit.vm.devices import BRIDGE, NETWORK, USER
    from virtkit.vm.forwards import require

    if [bool(bridge), bool(network), user].count(True) != 1:
        hint = "--bridge BRIDGE, --network NETWORK or --user-net"
        raise UsageError("network card: expected a bridge, a network or QEMU's own NAT", hint=hint)
    if forwards and not user:
        raise UsageError("network card: forwards are given, expected none: its guest has an address of its own")
    with connection.open() as libvirt:
        ordinary.require(libvirt, name, system or System(), bridge=bridge, network=network)
        require(libvirt, name, forwards)
    kind = USER if user else BRIDGE if bridge else NETWORK

    def make(domain: Domain) -> Element:
        return plugging.nic(domain, kind, bridge or network, model=model, mac=mac, forwards=forwards)

    return _plug(name, "network card", make)


def hotplug_pci(name: str, address: str, *, managed: bool = True) -> Plan:
    """A PCI device of the machine's host, as in 0000:01:00.0. Whether that can spare it: ``recipes.passthrough``.

    ``managed``: libvirt takes it from the host's driver, and gives it back.
    """
    from virtkit.vm import plugging

    device = plugging.pci(address, managed=managed)
    return _plug(name, f"PCI device {address}", lambda _domain: device)


def unplug(name: str, kind: str, known: str) -> Plan:
    """``kind`` is disk, nic, pci or memory; ``known`` its target, MAC, address or name (``ua-mem0``)."""
    from virtkit.vm import connection, settling
    from virtkit.vm.difference import changes
    from virtkit.vm.xml import remove

    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        later, now, before = machine.next_start(), machine.now(), machine.now()
        for domain in (later, now):
            node = _find(domain, kind, known)
            if node is not None:
                _lessen(domain, node)
                remove(domain.devices, node)
        live = [change for change in changes(before.node, now.node) if change.whole]
        if not live and not changes(machine.next_start().node, later.node):
            raise NotFoundError(f"{machine.name}: has no {kind} {known}", hint=f"virtkit vm show {machine.name}")
        title = f"take {kind} {known} out of machine {machine.name}"
        plan = settling.settle(title, machine, settling.Wanted(later, now, live), libvirt)
        notes = (*plan.notes, *(_loses(kind) if machine.active else ()))
        return Plan(plan.title, plan.actions, notes)


def _plug(name: str, what: str, make: Callable[[Domain], Element]) -> Plan:
    """The device that ``make`` has for the machine as it runs goes into the definition, too."""
    from copy import deepcopy

    from virtkit.vm import connection, plugging, settling
    from virtkit.vm.difference import changes

    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        later, now, before = machine.next_start(), machine.now(), machine.now()
        device = make(now)
        if machine.active and (reason := plugging.port_missing(before, device)):
            message, _, hint = reason.partition("; ")
            raise NotSupportedError(f"{machine.name}: {message}", hint=hint.replace(" makes", "   # makes"))
        now.devices.append(deepcopy(device))
        later.devices.append(device)
        _enlarge(later, device)
        live = changes(before.node, now.node)
        return settling.settle(
            f"plug {what} into machine {machine.name}", machine, settling.Wanted(later, now, live), libvirt
        )


def _find(domain: Domain, kind: str, known: str) -> Element | None:
    from virtkit.vm.difference import devices
    from virtkit.vm.plugging import DIMM, VIRTIO_MEM, pci

    if kind == "pci":
        probe = domain.parse("<domain/>")
        probe.devices.append(pci(known))
        names = list(devices(probe.node))
    else:
        kinds = {"disk": ["disk"], "nic": ["interface"], "memory": [DIMM, VIRTIO_MEM]}[kind]
        names = [f"{each}[{known.lower()}]" for each in kinds]
    there = devices(domain.node)
    return next((there[name] for name in names if name in there), None)


def _enlarge(domain: Domain, device: Element) -> None:
    """A module counts as memory by itself, but not as what the balloon leaves: libvirt leaves that alone."""
    if device.tag == "memory" and domain.balloon:
        domain.balloon += _size(device)


def _lessen(domain: Domain, device: Element) -> None:
    if device.tag == "memory" and domain.balloon:
        domain.balloon -= min(_size(device), domain.balloon - 1024)


def _size(device: Element) -> int:
    return int(device.findtext("target/requested") or device.findtext("target/size") or "0") * 1024


def _loses(kind: str) -> tuple[str, ...]:
    told = {
        "disk": "what the guest has mounted from it is cut off: umount it there first; the image file stays",
        "nic": "connections over it break",
        "memory": "the guest may refuse; all stays as it was then",
        "pci": "the host's own driver takes it back",
    }
    return (told[kind],)


def _vcpus(count: int) -> str:
    return f"{count} vCPU{'s' if count > 1 else ''}"
