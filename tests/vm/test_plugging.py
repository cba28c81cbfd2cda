from __future__ import annotations

import pytest

from virtkit.core.errors import ConflictError, NotSupportedError, UsageError
from virtkit.core.units import GIB, MIB
from virtkit.vm import edits, plugging
from virtkit.vm.blueprint import Blueprint, Disk, Nic, machine_xml
from virtkit.vm.domain import Domain
from virtkit.vm.xml import Text, View, parse

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
