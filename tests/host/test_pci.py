"""PCI devices: of a made-up host, of this one and of a recorded one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from host.trees import devices, machine, planted
from support import others
from virtkit.core.cpuset import parse_mask
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


STORAGE_AND_NET = {"1", "16"}  # hwloc 3, osdev_type
MOVED = ("0000:8", "0000:c")  # buses of which hwloc was told another place: that is what its tree tests


def test_names_and_nodes_are_those_that_hwloc_hangs_each_device_on() -> None:
    with devices("fakepcilocalities") as system:
        ours = {one.address: one for one in read_pci(Kernel(system))}
    root = ET.parse(others.folder("topologies") / "fakepcilocalities.xml").getroot()
    for item in root.findall(".//object[@type='PCIDev']"):
        names = {child.get("name") for child in item.iter("object") if child.get("osdev_type") in STORAGE_AND_NET}
        assert set(ours[item.get("pci_busid", "")].names) == names
    compared = 0
    for outer in root.findall(".//object[@nodeset]"):
        nodes = parse_mask(outer.get("nodeset", "").removeprefix("0x"))
        for item in outer.findall("object[@type='Bridge']//object[@pci_busid]") if len(nodes) == 1 else ():
            address = item.get("pci_busid", "")
            if not address.startswith(MOVED):
                assert frozenset({ours[address].numa_node}) == nodes
                compared += 1
    assert compared > 10


def test_a_domain_of_five_digits_is_read() -> None:
    """The addresses, kinds and names that hwloc's drawing has."""
    with devices("2pa-pcidomain32bits") as system:
        found = {one.address: one for one in read_pci(Kernel(system))}
    drawing = (others.folder("topologies") / "2pa-pcidomain32bits.console").read_text()
    lines = re.findall(r"PCI L#\d+ \(busid=(\S+) id=([0-9a-f]+):([0-9a-f]+) class=([0-9a-f]{4})", drawing)
    assert len(lines) == 4
    for address, *numbers in lines:
        one = found[address]
        assert [one.vendor, one.device, (one.class_code or 0) >> 8] == [int(number, 16) for number in numbers]
    assert found["10000:00:04.0"].names == ("vda",)
