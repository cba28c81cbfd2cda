"""Whether a PCI device can be given to a guest: VFIO gives whole IOMMU groups (Documentation/driver-api/vfio.rst)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotFoundError, NotSupportedError, UsageError
from virtkit.host.kernel import Kernel
from virtkit.host.pci import DEVICES, read_pci

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtkit.core.system import System
    from virtkit.host.pci import PciDevice

VFIO = "vfio-pci"
NO_GROUP = "is in no IOMMU group, expected one: VFIO gives whole groups to guests"
_BRIDGE = 0x06  # base class: goes with no guest, and keeps none of its group from going
_ADDRESS = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])", re.IGNORECASE | re.ASCII)
BOOT_IOMMU = "boot the host with intel_iommu=on or amd_iommu=on, and VT-d or AMD-Vi set in its firmware"


def uses(devices: Sequence[PciDevice], kernel: Kernel) -> dict[str, str]:
    """By address what the host itself does with it, as the end of a sentence; whoever is not there is free."""
    found = {device.address: _use(device, kernel) for device in devices}
    return {address: use for address, use in found.items() if use}


def barrier(device: PciDevice, devices: Sequence[PciDevice], used: Mapping[str, str]) -> str:
    """What keeps it from being given away, likewise; empty: nothing."""
    if device.class_code is not None and device.class_code >> 16 == _BRIDGE:
        return "is a bridge of the host"
    if device.iommu_group is None:
        return NO_GROUP
    if device.address in used:
        return used[device.address]
    mates = [each.address for each in devices if each.iommu_group == device.iommu_group and each.address in used]
    return f"shares its IOMMU group with {mates[0]}, which {used[mates[0]]}" if mates else ""


def find(system: System, address: str) -> PciDevice:
    """``0000:01:00.0`` or ``01:00.0``, or the network card or disk that stands on it. NotFoundError, UsageError."""
    parts, devices = _ADDRESS.fullmatch(address), read_pci(Kernel(system))
    if parts is None:
        standing = next((each for each in devices if address in each.names), None)
        if standing is None:
            expected = "expected an address as in 0000:01:00.0, or a network card or disk on one"
            raise UsageError(f"PCI device is {address!r}, {expected}", hint="virtkit host pci list")
        return standing
    full = f"{parts[1] or '0000'}:{parts[2]}".lower()
    found = next((each for each in devices if each.address == full), None)
    if found is None:
        raise NotFoundError(f"{full}: no such PCI device on this host", hint="virtkit host pci list")
    return found


def require_free(system: System, address: str) -> PciDevice:
    """The device; NotFoundError, NotSupportedError, BusyError where this host cannot give it away."""
    device, kernel = find(system, address), Kernel(system)
    devices = read_pci(kernel)
    why = barrier(device, devices, uses(devices, kernel))
    if device.iommu_group is None:
        raise NotSupportedError(f"{device.address}: {why}", hint=BOOT_IOMMU)
    if why:
        raise BusyError(f"{device.address}: {why}: this host would lose it", hint="virtkit host pci list")
    return device


def _use(device: PciDevice, kernel: Kernel) -> str:
    """A driver would be taken from it unasked. A disk counts, mounted or not."""
    if kernel.text(f"{DEVICES}/{device.address}/boot_vga") == "1":
        return "is the console's graphics card"
    for name in device.names:
        state = kernel.text(f"/sys/class/net/{name}/operstate")
        if state is None:
            return f"has the disk {name}"
        if state != "down":
            return f"is the network card {name}, which is up"
    return ""
