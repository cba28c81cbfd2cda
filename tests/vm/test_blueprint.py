from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import UsageError
from virtkit.vm.blueprint import Blueprint, Disk, Nic, derived_mac, machine_xml, targets
from virtkit.vm.domain import Domain

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = Blueprint("vkt-plan", 256 << 20, 2, (Disk("/images/a.qcow2", "qcow2"),), (Nic(bridge="br0"),), kvm=False)
FULL = replace(
    PLAIN,
    disks=(Disk("/images/a b&c.qcow2", "qcow2", "none", "native"), Disk("/dev/vg/x", "raw", "directsync", "io_uring")),
    nics=(Nic(bridge="br0", mac="52:54:00:00:00:01"), Nic(network="default")),
    kvm=True,
    uuid="0b8a1e6e-7f3a-4c1e-9f33-0d0f3a1b2c3d",
    title="A <title> & more",
    serial_log="/var/log/x.log",
    chipset="pc",
    kernel="/boot/vmlinuz",
    initramfs="/boot/initrd",
    kernel_arguments='console=ttyS0 quote="x"',
)


def test_what_was_asked_for_is_read_back_from_the_xml() -> None:
    domain = Domain.parse(machine_xml(FULL))
    assert (domain.name, domain.type, domain.uuid, domain.title) == (FULL.name, "kvm", FULL.uuid, FULL.title)
    assert (domain.memory, domain.vcpus, domain.machine) == (FULL.memory, FULL.cpus, "pc")
    assert [(disk.source, disk.format, disk.cache, disk.io) for disk in domain.disks] == [
        (disk.path, disk.format, disk.cache, disk.io) for disk in FULL.disks
    ]
    assert [disk.target for disk in domain.disks] == ["vda", "vdb"]
    assert [(nic.type, nic.source, nic.mac) for nic in domain.nics] == [
        ("bridge", "br0", "52:54:00:00:00:01"),
        ("network", "default", derived_mac("vkt-plan", 1)),
    ]
    assert [serial.log for serial in domain.serials] == [FULL.serial_log]


def test_an_emulated_machine_has_the_plain_cpu_and_a_kvm_machine_the_hosts() -> None:
    emulated, native = Domain.parse(machine_xml(PLAIN)), Domain.parse(machine_xml(replace(PLAIN, kvm=True)))
    assert (emulated.type, emulated.cpu_mode, emulated.cpu_model) == ("qemu", "custom", "qemu64")
    assert (native.type, native.cpu_mode, native.cpu_model) == ("kvm", "host-passthrough", "")


@given(st.text(max_size=20), st.integers(0, 8))
def test_a_derived_mac_is_unicast_and_always_the_same(name: str, index: int) -> None:
    mac = derived_mac(name, index)
    assert mac == derived_mac(name, index) != derived_mac(name, index + 1)
    Domain.parse(machine_xml(replace(PLAIN, nics=(Nic(bridge="br0", mac=mac),))))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: replace(PLAIN, name="a/b"), "name is"),
        (lambda: replace(PLAIN, name="-rf"), "name is"),
        (lambda: replace(PLAIN, name="a\n"), "name is"),
        (lambda: replace(PLAIN, memory=1000), "memory is 1000 bytes"),
        (lambda: replace(PLAIN, cpus=0), "cpus is 0"),
        (lambda: replace(PLAIN, disks=(Disk("a.raw", "raw"),)), "absolute path"),
        (lambda: replace(PLAIN, disks=(Disk("/a", "raw", "writeback", "native"),)), "is writeback, expected none or"),
        (lambda: replace(PLAIN, disks=(Disk("/a", "raw", io="native"),)), "is not given, expected none or"),
        (lambda: replace(PLAIN, nics=(Nic(),)), "either a bridge or a network"),
        (lambda: replace(PLAIN, nics=(Nic(bridge="a", network="b"),)), "either a bridge or a network"),
        (lambda: replace(PLAIN, nics=(Nic(bridge="a", mac="53:00:00:00:00:00"),)), "expected a unicast address"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(change: Callable[[], Blueprint], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        machine_xml(change())


def test_disks_are_named_by_bus_as_linux_names_them() -> None:
    many = tuple(Disk(f"/images/{number}", "raw") for number in range(28))
    mixed = (Disk("/a", "raw"), Disk("/b", "raw", bus="sata", cdrom=True), Disk("/c", "raw", read_only=True))
    assert targets(many)[::27] == ["vda", "vdab"]
    assert targets(many)[25:27] == ["vdz", "vdaa"]
    assert targets(mixed) == ["vda", "sda", "vdb"]
    domain = Domain.parse(machine_xml(replace(PLAIN, disks=mixed)))
    assert [(disk.device, disk.read_only) for disk in domain.disks] == [
        ("disk", False),
        ("cdrom", True),
        ("disk", True),
    ]


def test_secure_boot_has_system_management_mode_and_keys_and_plain_uefi_has_not() -> None:
    secure = Domain.parse(machine_xml(replace(PLAIN, firmware="secure", tpm=True))).node
    plain = Domain.parse(machine_xml(replace(PLAIN, firmware="efi"))).node
    features = [{node.get("name"): node.get("enabled") for node in found.iter("feature")} for found in (secure, plain)]
    assert features == [{"secure-boot": "yes", "enrolled-keys": "yes"}, {"secure-boot": "no"}]
    assert (secure.find("features/smm") is not None, plain.find("features/smm")) == (True, None)
    assert secure.find("devices/tpm/backend") is not None
    with pytest.raises(UsageError, match="firmware is efi, expected bios with chipset pc"):
        machine_xml(replace(PLAIN, firmware="efi", chipset="pc"))


def test_a_machine_boots_from_what_it_is_told_in_that_order() -> None:
    found = Domain.parse(machine_xml(replace(PLAIN, boot=("hd", "cdrom", "network")))).node.findall("os/boot")
    assert [node.get("dev") for node in found] == ["hd", "cdrom", "network"]


def test_a_screen_has_no_tcp_port() -> None:
    (display,) = Domain.parse(machine_xml(replace(PLAIN, screen=True))).node.findall("devices/graphics")
    assert display.get("port") is None
    assert [node.get("type") for node in display] == ["socket"]


def test_an_ordinary_user_s_card_is_qemu_s_own() -> None:
    (card,) = Domain.parse(machine_xml(replace(PLAIN, nics=(Nic(user=True, model="e1000e"),)))).nics
    assert (card.type, card.source, card.model) == ("user", "", "e1000e")
