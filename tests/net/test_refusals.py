from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from net.samples import PORT, address, link, network
from virtkit.core.errors import BusyError, NotSupportedError, UsageError
from virtkit.core.system import System
from virtkit.net import refusals

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["br0", "a", "fifteen-letters", "brücke"])
def test_takes_names_that_the_kernel_takes(name: str) -> None:
    refusals.check_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a b", "a:1", "br%d", "sixteen-letters-", "brückebrückebrü", "a\0"]
)
def test_refuses_names_that_the_kernel_refuses(name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        refusals.check_name(name)


def test_wifi_is_refused_and_the_way_out_is_named(tmp_path: Path) -> None:
    (tmp_path / "sys/class/net/eth0/phy80211").mkdir(parents=True)
    with pytest.raises(NotSupportedError, match="is Wi-Fi") as caught:
        refusals.check_port(System(tmp_path), network(), link(PORT), "br0")
    assert all(way in caught.value.hint for way in ("NAT", "routed", "cable"))


@pytest.mark.parametrize("root", ["10.0.0.1:/export / nfs4 rw 0 0", "/dev/nbd0 / ext4 rw 0 0"])
def test_host_that_lives_on_the_network_is_refused(tmp_path: Path, root: str) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/mounts").write_text(f"proc /proc proc rw 0 0\n{root}\n")
    with pytest.raises(NotSupportedError, match="would take the host with it"):
        refusals.check_port(System(tmp_path), network(), link(PORT), "br0")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("devices/platform/host3/session1/target3:0:0/3:0:0:1/block/sda", "is on iSCSI"),
        ("devices/virtual/block/nbd0", "is on a network block device"),
        ("devices/virtual/nvme-fabrics/ctl/nvme0/nvme0n1", "is on NVMe over fabrics"),
    ],
)
def test_host_whose_disk_is_on_the_network_is_refused_however_deep_it_lies(
    tmp_path: Path, place: str, said: str
) -> None:
    """A logical volume on it: ``/`` is dm-0, which stands on the disk."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text("22 1 254:0 / / rw - ext4 /dev/mapper/vg-root rw\n")
    (tmp_path / "sys/devices/virtual/block/dm-0/slaves").mkdir(parents=True)
    (tmp_path / "sys" / place).mkdir(parents=True)
    (tmp_path / "sys" / place / "dev").write_text("8:0\n")
    (tmp_path / "sys/devices/virtual/block/dm-0/slaves/disk").symlink_to(tmp_path / "sys" / place)
    (tmp_path / "sys/dev/block").mkdir(parents=True)
    (tmp_path / "sys/dev/block/254:0").symlink_to(tmp_path / "sys/devices/virtual/block/dm-0")
    (tmp_path / "sys/dev/block/8:0").symlink_to(tmp_path / "sys" / place)
    with pytest.raises(NotSupportedError, match=said):
        refusals.check_port(System(tmp_path), network(), link(PORT), "br0")


def test_network_file_system_elsewhere_is_no_reason(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/mounts").write_text("/dev/vda / ext4 rw 0 0\n10.0.0.1:/home /home nfs4 rw 0 0\n")
    refusals.check_port(System(tmp_path), network(), link(PORT), "br0")


@pytest.mark.parametrize("kind", ["macvlan", "ipvlan", "macsec"])
def test_what_would_lose_its_frames_to_the_bridge_is_named(tmp_path: Path, kind: str) -> None:
    upper = replace(link(PORT), index=9, name="up0", kind=kind, lower=PORT)
    shown = replace(network(), links=(*network().links, upper))
    with pytest.raises(BusyError, match=rf"carries up0 \({kind}\)"):
        refusals.check_port(System(tmp_path), shown, link(PORT), "br0")


def test_a_vlan_on_the_port_goes_on_working(tmp_path: Path) -> None:
    upper = replace(link(PORT), index=9, name="eth0.100", kind="vlan", lower=PORT)
    refusals.check_port(System(tmp_path), replace(network(), links=(*network().links, upper)), link(PORT), "br0")


def test_label_that_would_be_too_long_on_the_bridge_is_refused(tmp_path: Path) -> None:
    shown = network((address("10.9.0.12/24", label="eth0:12"),))
    with pytest.raises(UsageError, match="label of 10"):
        refusals.check_port(System(tmp_path), shown, link(PORT), "bridge-of-13ch")
