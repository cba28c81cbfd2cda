"""Which files find a card's twin in a rehearsal, and which do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.system import System
from virtkit.net.networkd import found, twins
from virtkit.net.networkd.found import Traits
from virtkit.net.rehearsal.scene import Twin

if TYPE_CHECKING:
    from pathlib import Path

MAC = "52:54:00:aa:00:11"
CARD = Twin("eth0", MAC, "virtio_net", {"ID_PATH": "pci-0000:07:00.0", "ID_BUS": "pci"})
IN_THE_ROOM = Traits("eth0", MAC, "", "ether", "veth", {})
BRIDGE = Traits("br0", MAC, "", "bridge", "bridge", {})


def _finds(tmp_path: Path, match: str) -> tuple[bool, bool]:
    """Whether the file finds the twin, and the bridge."""
    system = System(tmp_path)
    for place in (found.PLACE, "/run/systemd/network"):
        system.path(place).mkdir(parents=True)
    system.write(f"{found.PLACE}/20-lan.network", f"[Match]\n{match}\n[Network]\nDHCP=yes\n")
    twins.fit(system, [CARD])
    (file,) = found.network_files(system)
    return file.may_match(IN_THE_ROOM), file.may_match(BRIDGE)


@pytest.mark.parametrize(
    "match",
    [
        f"PermanentMACAddress={MAC}",
        f"PermanentMACAddress={MAC}\nName=!br0",
        "PermanentMACAddress=52:54:00:00:00:01 5254.00AA.0011",
        "Path=pci-0000:07:*",
        "Driver=virtio_net\nName=en* eth*",
        "Property=ID_BUS=pci !ID_PATH=*usb*",
        f"MACAddress={MAC}\nDriver=virtio*",
    ],
)
def test_file_that_finds_the_card_finds_its_twin_and_not_the_bridge(tmp_path: Path, match: str) -> None:
    assert _finds(tmp_path, match) == (True, False)


@pytest.mark.parametrize(
    "match",
    [
        "PermanentMACAddress=52:54:00:00:00:01",
        "Path=pci-0000:08:*",
        "Driver=!virtio_net\nName=eth0",
        "Property=ID_BUS=usb",
        f"PermanentMACAddress={MAC}\nName=br0",
    ],
)
def test_file_for_another_card_stays_so(tmp_path: Path, match: str) -> None:
    assert not _finds(tmp_path, match)[0]


def test_file_that_goes_by_what_the_twin_has_is_left_as_it_is(tmp_path: Path) -> None:
    assert _finds(tmp_path, "Name=eth0") == (True, False)
    assert not System(tmp_path).names("/run/systemd/network")
