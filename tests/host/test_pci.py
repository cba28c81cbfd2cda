"""PCI devices: of a made-up host, of this one and of a recorded one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from host.trees import machine, planted
from support import others
from virtkit.core.system import System
from virtkit.host.kernel import Kernel
from virtkit.host.pci import DEVICES, PciDevice, Sriov, read_pci

if TYPE_CHECKING:
    from pathlib import Path

NIC = {
    "class": "0x020000\n", "vendor": "0x8086\n", "device": "0x10fb\n", "numa_node": "1\n",
    "sriov_totalvfs": "63\n", "sriov_numvfs": "2\n",
}  # fmt: skip


def _host(root: Path, devices: dict[str, dict[str, str]], links: dict[str, str]) -> Kernel:
    kernel = planted(
        root, {f"{DEVICES}/{at}/{name}": text for at, files in devices.items() for name, text in files.items()}
    )
    for path, target in links.items():
        (root / f"{DEVICES}/{path}".lstrip("/")).symlink_to(target)
    return kernel


def test_reads_a_network_card_with_virtual_functions(tmp_path: Path) -> None:
    card, function = "0000:3b:00.0", "0000:3b:10.0"
    links = {
        f"{card}/driver": "../../../../bus/pci/drivers/ixgbe",
        f"{card}/iommu_group": "../../../../kernel/iommu_groups/41",
        f"{function}/physfn": f"../{card}",
        f"{function}/driver": "../../../../bus/pci/drivers/vfio-pci",
    }
    kernel = _host(tmp_path, {card: NIC, function: {"class": "0x020000", "numa_node": "-1"}}, links)
    first, second = read_pci(kernel)
    assert first == PciDevice(card, 0x020000, 0x8086, 0x10FB, "ixgbe", 1, 41, Sriov(63, 2), None)
    assert first.kind == "network"
    assert (second.driver, second.numa_node, second.physical_function) == ("vfio-pci", None, card)
    assert not kernel.doubts


def test_what_is_no_number_is_a_doubt_and_no_device_is_lost(tmp_path: Path) -> None:
    kernel = _host(tmp_path, {"0000:00:01.0": {"class": "bridge", "vendor": "0x1af4"}, "not a device": {}}, {})
    (device,) = read_pci(kernel)
    assert (device.class_code, device.vendor, device.kind) == (None, 0x1AF4, "device")
    assert any("/class: found 'bridge'" in doubt for doubt in kernel.doubts)


def test_a_host_without_pci_has_none(tmp_path: Path) -> None:
    assert read_pci(planted(tmp_path, {})) == ()


def test_agrees_with_the_kernels_other_list_on_this_host() -> None:
    """``/proc/bus/pci/devices``: bus, device and function in one number, vendor and device, ..., driver."""
    rows = [line.split("\t") for line in System().read("/proc/bus/pci/devices").splitlines()]
    theirs = {(int(row[0], 16), row[1], row[-1].strip() or None) for row in rows}
    ours = read_pci(Kernel(System()))
    assert {(_number(one.address), f"{one.vendor:04x}{one.device:04x}", one.driver) for one in ours} == theirs


def _number(address: str) -> int:
    _domain, bus, place = address.split(":")
    device, function = place.split(".")
    return int(bus, 16) << 8 | int(device, 16) << 3 | int(function)


def test_agrees_with_hwloc_on_a_recorded_machine() -> None:
    with machine("fakepcilocalities") as system:
        ours = {one.address: one for one in read_pci(Kernel(system))}
    objects = ET.parse(others.folder("topologies") / "fakepcilocalities.xml").getroot().iter("object")
    theirs = {one.get("pci_busid", ""): one.get("pci_type", "") for one in objects if one.get("type") == "PCIDev"}
    assert len(theirs) == 14
    for address, text in theirs.items():  # 0200 [14e4:1639] ...
        found = ours[address]
        assert f"{(found.class_code or 0) >> 8:04x} [{found.vendor:04x}:{found.device:04x}]" == text[:16]
    assert ours["0000:43:00.0"].numa_node == 1
