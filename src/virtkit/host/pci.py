"""The host's PCI devices: what they are, who drives them, which node they are at (ABI/testing/sysfs-bus-pci)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from virtkit.host.kernel import Kernel

DEVICES = "/sys/bus/pci/devices"

_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", re.ASCII)  # domain:bus:device.function
_HEX = re.compile(r"0x([0-9a-fA-F]{1,8})", re.ASCII)


class Sriov(NamedTuple):
    """The virtual functions of a device that can have some (Documentation/PCI/pci-iov-howto.rst)."""

    total: int  # the most that it can have
    number: int  # that it has now


class PciDevice(NamedTuple):
    """None: the kernel does not say."""

    address: str  # 0000:3b:00.0
    class_code: int | None  # 24 bits: class, subclass, programming interface
    vendor: int | None
    device: int | None
    driver: str | None  # bound now; None: nobody drives it
    numa_node: int | None  # None where the firmware does not say (the kernel shows -1)
    iommu_group: int | None  # None: no IOMMU translates for it
    sriov: Sriov | None  # None: it has no virtual functions
    physical_function: str | None  # address of the device whose virtual function this is
    names: tuple[str, ...] = ()  # of the interfaces, then of the disks that stand on it

    @property
    def kind(self) -> str:
        """In one or two words, after the base class (PCI Code and ID Assignment Specification)."""
        return "device" if self.class_code is None else _CLASSES.get(self.class_code >> 16, "device")


_CLASSES = {
    0x01: "storage",
    0x02: "network",
    0x03: "display",
    0x04: "multimedia",
    0x05: "memory",
    0x06: "bridge",
    0x07: "communication",
    0x08: "system",
    0x09: "input",
    0x0B: "processor",
    0x0C: "serial bus",
    0x0D: "wireless",
    0x10: "encryption",
    0x12: "accelerator",
}


def read_pci(kernel: Kernel) -> tuple[PciDevice, ...]:
    """By address; none where the host has no PCI bus."""
    addresses = [name for name in kernel.names(DEVICES) if _ADDRESS.fullmatch(name)]
    names = _names(kernel) if addresses else {}
    return tuple(_device(kernel, address, tuple(names.get(address, ()))) for address in addresses)


def _names(kernel: Kernel) -> dict[str, list[str]]:
    """By address: the links of interfaces and disks lead through the devices that they stand on."""
    found: dict[str, list[str]] = {}
    for folder in ("/sys/class/net", "/sys/block"):
        for name in kernel.names(folder):
            if passed := _ADDRESS.findall(kernel.target(f"{folder}/{name}") or ""):
                found.setdefault(passed[-1], []).append(name)
    return found


def _device(kernel: Kernel, address: str, names: tuple[str, ...]) -> PciDevice:
    folder = f"{DEVICES}/{address}"
    node, group = kernel.number(f"{folder}/numa_node"), kernel.link(f"{folder}/iommu_group")
    return PciDevice(
        address=address,
        class_code=_hex(kernel, f"{folder}/class"),
        vendor=_hex(kernel, f"{folder}/vendor"),
        device=_hex(kernel, f"{folder}/device"),
        driver=kernel.link(f"{folder}/driver"),
        numa_node=None if node is None or node < 0 else node,
        iommu_group=int(group) if group and group.isdecimal() else None,
        sriov=_sriov(kernel, folder),
        physical_function=kernel.link(f"{folder}/physfn"),
        names=names,
    )


def _sriov(kernel: Kernel, folder: str) -> Sriov | None:
    total = kernel.number(f"{folder}/sriov_totalvfs")
    return None if total is None else Sriov(total, kernel.number(f"{folder}/sriov_numvfs") or 0)


def _hex(kernel: Kernel, path: str) -> int | None:
    """``0x8086``."""
    text = kernel.text(path)
    if not text:
        return None
    found = _HEX.fullmatch(text)
    if not found:
        kernel.doubt(path, text, "a hexadecimal number, as in 0x8086")
        return None
    return int(found[1], 16)
