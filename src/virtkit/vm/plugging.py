"""Devices that are plugged into a machine: their XML, and whether there is room for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.errors import ConflictError, NotSupportedError, UsageError
from virtkit.core.units import KIB, MIB, format_size
from virtkit.vm.blueprint import derived_mac
from virtkit.vm.forwards import elements as forwarding
from virtkit.vm.xml import element

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.vm.domain import Domain
    from virtkit.vm.forwards import Forward
    from virtkit.vm.xml import Element

DIMM, VIRTIO_MEM = "dimm", "virtio-mem"
BLOCK = 2 * MIB  # virtio-mem's unit: a huge page of x86
SECTION = (
    128 * MIB
)  # the least that Linux on x86 brings online of a module (Documentation/admin-guide/mm/memory-hotplug)
ON_PCIE = ("disk", "interface", "hostdev", VIRTIO_MEM)  # what takes a port of a q35 machine
PREFIXES = {"virtio": "vd", "scsi": "sd", "usb": "sd"}  # buses that libvirt plugs disks into
_PCI = re.compile(r"(?:([0-9a-f]{4}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", re.IGNORECASE)


def disk(domain: Domain, path: str, image_format: str, *, bus: str, target: str, cache: str, readonly: bool) -> Element:
    if not path.startswith("/"):
        raise UsageError(f"{domain.name}: disk is {path!r}, expected an absolute path")
    used = {each.target for each in domain.disks}
    names = (f"{PREFIXES.get(bus, 'vd')}{chr(ord('a') + index)}" for index in range(26))
    target = target or next((name for name in names if name not in used), "")
    if not target or target in used:
        raise ConflictError(
            f"{domain.name}: target {target or 'vda to vdz'} is taken, expected one besides {', '.join(sorted(used))}"
        )
    if path in {each.source for each in domain.disks}:
        raise ConflictError(f"{domain.name}: has {path} already", hint=f"virtkit vm show {domain.name}")
    block = path.startswith("/dev/")
    driver = {"name": "qemu", "type": image_format, "cache": cache, "discard": "unmap"}
    return element(
        "disk",
        {"type": "block" if block else "file", "device": "disk"},
        element("driver", driver),
        element("source", {"dev" if block else "file": path}),
        element("target", {"dev": target, "bus": bus}),
        *([element("readonly")] if readonly else []),
    )


def nic(domain: Domain, kind: str, source: str, *, model: str, mac: str, forwards: Sequence[Forward] = ()) -> Element:
    """``kind`` is bridge, network or user, which has no source."""
    mac = mac or _free_mac(domain)
    if domain.nic(mac) is not None:
        raise ConflictError(f"{domain.name}: has a network card {mac} already")
    children = (
        element("mac", {"address": mac.lower()}),
        *([element("source", {kind: source})] if source else []),
        element("model", {"type": model}),
        *forwarding(forwards),
    )
    return element("interface", {"type": kind}, *children)


def memory(domain: Domain, size: int, model: str) -> Element:
    if size < SECTION or size % SECTION:
        raise UsageError(
            f"{domain.name}: memory is {format_size(size)}, expected a multiple of {format_size(SECTION)} ({model})"
        )
    check_room(domain, size)
    name = _free_alias(domain)
    kib = str(size // KIB)
    sizes = [element("size", {"unit": "KiB"}, text=kib), element("node", text="0")]
    if model == VIRTIO_MEM:
        sizes += [
            element("block", {"unit": "KiB"}, text=str(BLOCK // KIB)),
            element("requested", {"unit": "KiB"}, text=kib),
        ]
    return element("memory", {"model": model}, element("target", {}, *sizes), element("alias", {"name": name}))


def name_devices(domain: Domain) -> None:
    """What has no name of its own gets one, so that it is the same device now and after the next start."""
    for card in domain.nics:
        if not card.mac:
            card.mac = _free_mac(domain)
    for module in domain.node.findall("devices/memory"):
        if module.find("alias") is None:
            module.append(element("alias", {"name": _free_alias(domain)}))


def _free_mac(domain: Domain) -> str:
    return next(mac for index in range(256) if domain.nic(mac := derived_mac(domain.name, index)) is None)


def _free_alias(domain: Domain) -> str:
    used = {alias.get("name") for alias in domain.node.findall("devices/memory/alias")}
    return next(name for index in range(257) if (name := f"ua-mem{index}") not in used)


def pci(address: str, *, managed: bool = True) -> Element:
    """A device of the host, as in 0000:01:00.0; ``managed``: libvirt takes it from the host's driver meanwhile."""
    parts = _PCI.fullmatch(address)
    if parts is None:
        raise UsageError(f"PCI device is {address!r}, expected an address as in 0000:01:00.0")
    domain, bus, slot, function = parts.groups(default="0000")
    place = {"domain": f"0x{domain}", "bus": f"0x{bus}", "slot": f"0x{slot}", "function": f"0x{function}"}
    attributes = {"mode": "subsystem", "type": "pci", "managed": "yes" if managed else "no"}
    return element("hostdev", attributes, element("source", {}, element("address", place)))


def check_room(domain: Domain, size: int) -> None:
    """Of a running machine: QEMU made room for memory when it started, or not."""
    modules = domain.node.findall("devices/memory")
    if not domain.room:
        hint = f"virtkit vm set {domain.name} memory --room 8G, then virtkit vm stop and virtkit vm start"
        raise NotSupportedError(f"{domain.name}: has no room for more memory", hint=hint)
    node = domain.node.find("maxMemory")
    slots = int(node.get("slots", "0")) if node is not None else 0
    if len(modules) >= slots or domain.memory + size > domain.room:
        found = f"{format_size(domain.memory)} and {len(modules)} modules"
        raise NotSupportedError(
            f"{domain.name}: has {found} of {format_size(domain.room)} and {slots}, no room for {format_size(size)}"
        )


def free_ports(domain: Domain) -> int:
    """PCI Express ports with nothing in them: each takes one device while the machine runs."""
    ports = {
        int(node.get("index", "0"), 0)
        for node in domain.node.findall("devices/controller[@type='pci']")
        if node.get("model") == "pcie-root-port"
    }
    taken = {int(node.get("bus", "0"), 0) for node in domain.node.findall("devices/*/address[@type='pci']")}
    return len(ports - taken)


def port_missing(domain: Domain, device: Element) -> str:
    """Why ``device`` finds no place in the running machine; empty if it does."""
    model = device.get("model", "") if device.tag == "memory" else device.tag
    target = device.find("target")
    bus = target.get("bus", "virtio") if device.tag == "disk" and target is not None else ""
    if bus and bus not in PREFIXES:
        return "libvirt plugs disks on virtio, scsi and usb alone"
    elsewhere = bus not in ("", "virtio")
    if "q35" not in domain.machine or model not in ON_PCIE or elsewhere or free_ports(domain):
        return ""
    return f"no PCI Express port is free; virtkit vm set {domain.name} ports 4 makes some from the next start"
