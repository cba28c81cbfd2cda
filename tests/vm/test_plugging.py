from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import BusyError, ConflictError, NotFoundError, NotSupportedError, UsageError
from virtkit.core.system import System
from virtkit.core.units import GIB, MIB
from virtkit.vm import edits, plugging
from virtkit.vm.blueprint import Blueprint, Disk, Nic, machine_xml
from virtkit.vm.domain import Domain
from virtkit.vm.xml import Text, View, parse

if TYPE_CHECKING:
    from pathlib import Path

PORTS = """\
<domain><os><type machine='pc-q35-7.2'>hvm</type></os><devices>
<controller type='pci' index='0' model='pcie-root'/><controller type='pci' index='1' model='pcie-root-port'/>
<controller type='pci' index='2' model='pcie-root-port'/><rng><address type='pci' bus='0x01'/></rng>
</devices></domain>"""


def machine(*, room: bool = False) -> Domain:
    plan = Blueprint("x", GIB, 2, (Disk("/a", "qcow2"),), (Nic(bridge="br0"),))
    domain = Domain.parse(machine_xml(plan))
    if room:
        edits.set_room(domain, 2 * GIB, 1)
    return domain


def test_a_disk_gets_the_next_free_name_and_no_image_is_there_twice() -> None:
    made = plugging.disk(machine(), "/b", "raw", bus="virtio", target="", cache="none", readonly=True)
    assert Text("target@dev").read(View(made)) == "vdb"
    assert made.find("readonly") is not None
    with pytest.raises(ConflictError, match="has /a already"):
        plugging.disk(machine(), "/a", "qcow2", bus="virtio", target="", cache="none", readonly=False)
    with pytest.raises(ConflictError, match="target vda is taken"):
        plugging.disk(machine(), "/b", "raw", bus="virtio", target="vda", cache="none", readonly=False)


def test_a_card_gets_an_address_that_is_free_and_the_same_again() -> None:
    first, again = (plugging.nic(machine(), "bridge", "br0", model="virtio", mac="") for _ in range(2))
    mac = Text("mac@address").read(View(first))
    assert mac == Text("mac@address").read(View(again)) != machine().nics[0].mac


def test_memory_needs_room_and_whole_sections() -> None:
    with pytest.raises(NotSupportedError, match="has no room for more memory"):
        plugging.memory(machine(), 128 * MIB, plugging.DIMM)
    with pytest.raises(UsageError, match="a multiple of 128 MiB"):
        plugging.memory(machine(room=True), 100 * MIB, plugging.DIMM)
    full = machine(room=True)
    full.devices.append(plugging.memory(full, 128 * MIB, plugging.DIMM))
    with pytest.raises(NotSupportedError, match="1 modules of 2 GiB and 1, no room for 128 MiB"):
        plugging.memory(full, 128 * MIB, plugging.VIRTIO_MEM)


def test_a_free_port_is_one_with_nothing_in_it() -> None:
    domain = Domain.parse(PORTS)
    assert plugging.free_ports(domain) == 1
    card, usb = parse("<interface/>"), parse("<disk><target dev='sda' bus='usb'/></disk>")
    assert plugging.port_missing(domain, card) == ""
    domain.devices.append(parse("<interface><address type='pci' bus='0x02'/></interface>"))
    assert "no PCI Express port is free" in plugging.port_missing(domain, card)
    assert plugging.port_missing(domain, usb) == ""


@pytest.mark.parametrize("wrong", ["1:0.0", "0000:01:00", "01:00.8", "eth0"])
def test_a_pci_address_is_whole(wrong: str) -> None:
    with pytest.raises(UsageError, match="expected an address as in 0000:01:00.0"):
        plugging.pci(wrong)


def test_a_pci_device_is_given_away_only_from_an_iommu_group(tmp_path: Path) -> None:
    system, place = System(tmp_path), tmp_path / "sys/bus/pci/devices/0000:01:00.0"
    with pytest.raises(NotFoundError, match="no such PCI device"):
        plugging.check_pci("01:00.0", system)
    place.mkdir(parents=True)
    with pytest.raises(NotSupportedError, match="is in no IOMMU group"):
        plugging.check_pci("01:00.0", system)
    (place / "iommu_group").symlink_to("../../../kernel/iommu_groups/1")
    (tmp_path / "sys/bus/pci/kernel/iommu_groups/1").mkdir(parents=True)
    plugging.check_pci("0000:01:00.0", system)


def test_a_pci_device_that_the_host_needs_is_not_given_away(tmp_path: Path) -> None:
    system, bus = System(tmp_path), tmp_path / "sys/bus/pci/devices"
    group = tmp_path / "sys/kernel/iommu_groups/1/devices"
    for name in ("0000:01:00.0", "0000:01:00.1"):
        (group / name).mkdir(parents=True)
        (bus / name / "net").mkdir(parents=True)
        (bus / name / "iommu_group").symlink_to(group.parent)
    plugging.check_pci("01:00.0", system)
    (bus / "0000:01:00.1/net/eth0").mkdir()
    state = tmp_path / "sys/class/net/eth0/operstate"
    state.parent.mkdir(parents=True)
    state.write_text("down\n")
    plugging.check_pci("01:00.0", system)
    state.write_text("up\n")
    with pytest.raises(BusyError, match="shares its IOMMU group with 0000:01:00.1, which is the network card eth0"):
        plugging.check_pci("01:00.0", system)
    with pytest.raises(BusyError, match="is the network card eth0, which is up: this host would lose it"):
        plugging.check_pci("01:00.1", system)
    state.write_text("down\n")
    disk = tmp_path / "sys/devices/pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1"
    disk.mkdir(parents=True)
    (tmp_path / "sys/block").mkdir()
    (tmp_path / "sys/block/nvme0n1").symlink_to(disk)
    with pytest.raises(BusyError, match="has the disk nvme0n1"):
        plugging.check_pci("01:00.0", system)
    (tmp_path / "sys/block/nvme0n1").unlink()
    (bus / "0000:01:00.0/boot_vga").write_text("1\n")
    with pytest.raises(BusyError, match="is the console's graphics card"):
        plugging.check_pci("01:00.0", system)
