"""Which PCI devices can be given away: on trees of /sys, for test hosts have no IOMMU; the guest tests have one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit import host
from virtkit.core.errors import BusyError, NotFoundError, NotSupportedError, UsageError
from virtkit.core.progress import silent
from virtkit.core.system import System
from virtkit.host import passthrough, pcinames
from virtkit.host.actions import SetVirtualFunctions
from virtkit.host.kernel import Kernel
from virtkit.host.pci import DEVICES, read_pci

if TYPE_CHECKING:
    from pathlib import Path


class Bus:
    def __init__(self, root: Path) -> None:
        self.root, self.system = root, System(root)

    def add(self, address: str, group: int | None = 1, **files: str) -> Path:
        """``class_`` and others by their names in sysfs."""
        home = self.root / f"sys/devices/pci0000:00/{address}"
        home.mkdir(parents=True)
        place = self.root / DEVICES.lstrip("/") / address
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(home)
        for name, text in {"class": "0x020000", "vendor": "0x8086", "device": "0x1521", **files}.items():
            (home / name.rstrip("_")).write_text(f"{text}\n")
        if group is not None:
            (home / "iommu_group").symlink_to(f"../../kernel/iommu_groups/{group}")
        return home

    def card(self, home: Path, name: str, state: str) -> Path:
        (home / "net" / name).mkdir(parents=True)
        (home / "net" / name / "operstate").write_text(f"{state}\n")
        link = self.root / "sys/class/net" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../devices/pci0000:00/{home.name}/net/{name}")
        return home / "net" / name / "operstate"


@pytest.fixture
def bus(tmp_path: Path) -> Bus:
    return Bus(tmp_path)


def test_a_device_is_given_away_only_from_an_iommu_group(bus: Bus) -> None:
    with pytest.raises(NotFoundError, match="no such PCI device"):
        passthrough.require_free(bus.system, "01:00.0")
    bus.add("0000:01:00.0", None)
    with pytest.raises(NotSupportedError, match="is in no IOMMU group") as caught:
        passthrough.require_free(bus.system, "01:00.0")
    assert "intel_iommu=on" in caught.value.hint
    bus.add("0000:02:00.0")
    assert passthrough.require_free(bus.system, "02:00.0").address == "0000:02:00.0"


def test_what_the_host_needs_stays_with_all_of_its_group(bus: Bus) -> None:
    first, second = bus.add("0000:01:00.0"), bus.add("0000:01:00.1")
    bus.add("0000:00:01.0", class_="0x060400")
    assert passthrough.require_free(bus.system, "01:00.0"), "the bridge above it is no reason"
    with pytest.raises(BusyError, match="is a bridge of the host"):
        passthrough.require_free(bus.system, "00:01.0")
    state = bus.card(second, "eth0", "down")
    assert passthrough.require_free(bus.system, "01:00.0")
    state.write_text("up\n")
    with pytest.raises(BusyError, match="shares its IOMMU group with 0000:01:00.1, which is the network card eth0"):
        passthrough.require_free(bus.system, "01:00.0")
    with pytest.raises(BusyError, match="is the network card eth0, which is up: this host would lose it"):
        passthrough.require_free(bus.system, "eth0")
    state.write_text("down\n")
    (first / "nvme/nvme0/nvme0n1").mkdir(parents=True)
    (bus.root / "sys/block").mkdir()
    (bus.root / "sys/block/nvme0n1").symlink_to("../devices/pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1")
    with pytest.raises(BusyError, match="has the disk nvme0n1"):
        passthrough.require_free(bus.system, "01:00.0")
    (bus.root / "sys/block/nvme0n1").unlink()
    (first / "boot_vga").write_text("1\n")
    with pytest.raises(BusyError, match="is the console's graphics card"):
        passthrough.require_free(bus.system, "01:00.0")


@pytest.mark.parametrize("wrong", ["1:0.0", "0000:01:00", "01:00.8", "eth9"])
def test_what_is_no_device_is_said(bus: Bus, wrong: str) -> None:
    with pytest.raises(UsageError, match="expected an address as in 0000:01:00.0, or a network card or disk"):
        passthrough.find(bus.system, wrong)


def test_names_come_from_pci_ids_and_numbers_stay_where_it_knows_none(bus: Bus) -> None:
    bus.add("0000:01:00.0")
    bus.add("0000:02:00.0", vendor="0x1af4", device="0x1041")
    file = bus.root / "usr/share/misc/pci.ids"
    file.parent.mkdir(parents=True)
    file.write_text(
        "# a comment\n8086  Intel Corporation\n\t1521  I350 Gigabit\n\t\t8086 0001  a board\nC 02  Network\n"
    )
    kernel = Kernel(bus.system)
    assert pcinames.names(kernel, read_pci(kernel)) == {
        "0000:01:00.0": "Intel Corporation I350 Gigabit",
        "0000:02:00.0": "1af4:1041",
    }


def test_virtual_functions_are_planned_kept_and_counted(bus: Bus) -> None:
    home = bus.add("0000:3b:00.0", sriov_totalvfs="8", sriov_numvfs="0")
    bus.card(home, "ens1f0", "up")
    plan = host.set_virtual_functions(bus.system, "ens1f0", 4, persistent=True)
    assert [action.describe() for action in plan.actions] == [
        "0000:3b:00.0: 4 virtual functions",
        "/etc/udev/rules.d/60-virtkit-sriov.rules: virtual functions of 0000:3b:00.0=4 from the next boot on",
    ]
    for action in plan.actions:
        before = action.capture(bus.system)
        action.apply(bus.system, silent)
        action.verify(bus.system)
        assert before is not None
    rule = (bus.root / "etc/udev/rules.d/60-virtkit-sriov.rules").read_text()
    assert 'ACTION=="bind", SUBSYSTEM=="pci", KERNEL=="0000:3b:00.0", ATTR{sriov_numvfs}="4"\n' in rule
    assert not host.set_virtual_functions(bus.system, "ens1f0", 4, persistent=True).actions
    again = host.set_virtual_functions(bus.system, "3b:00.0", 2, persistent=True)
    assert any("its 4 virtual functions go first" in note for note in again.notes)
    plan.actions[0].undo(bus.system, 0)
    assert SetVirtualFunctions("0000:3b:00.0", 4).capture(bus.system) == 0


def test_virtual_functions_that_cannot_be_are_refused(bus: Bus) -> None:
    home = bus.add("0000:3b:00.0", sriov_totalvfs="8", sriov_numvfs="2")
    function = bus.add("0000:3b:02.0")
    (function / "physfn").symlink_to("../0000:3b:00.0")
    (function / "driver").symlink_to("../../../bus/pci/drivers/vfio-pci")
    with pytest.raises(UsageError, match="count is 9, expected 0 to 8"):
        host.set_virtual_functions(bus.system, home.name, 9)
    with pytest.raises(NotSupportedError, match=r"is a virtual function of 0000:3b:00\.0"):
        host.set_virtual_functions(bus.system, function.name, 1)
    with pytest.raises(BusyError, match=r"0000:3b:02\.0 is held by vfio-pci"):
        host.set_virtual_functions(bus.system, home.name, 4)
