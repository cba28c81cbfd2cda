"""Whose link it is: which files define it, and who else writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from net.netplan.samples import MAC, host
from virtkit.core.errors import NotSupportedError
from virtkit.core.system import System
from virtkit.net import persistence
from virtkit.net.backends.netplan import BACKEND, configuration, writers

if TYPE_CHECKING:
    from pathlib import Path

DHCP = "network: {ethernets: {eth0: {dhcp4: true}}}\n"


def _defined(own: str) -> str:
    return f"network:\n  ethernets:\n    lan:\n      {own}\n      dhcp4: true\n"


@pytest.mark.parametrize(
    ("text", "link"),
    [
        (DHCP, "eth0"),
        (_defined(f"match: {{macaddress: '{MAC.upper()}'}}"), "eth0"),
        (_defined("match: {name: 'et*'}"), "eth0"),
        (_defined("match: {name: enp1s0}\n      set-name: eth0"), "eth0"),
        (_defined("match: {driver: virtio_net}"), "eth0"),
        (_defined("match: {driver: [e1000, 'virtio*']}"), "eth0"),
        ("network: {vlans: {eth0.5: {id: 5, link: eth0}}}", "eth0.5"),
    ],
)
def test_link_is_known_by_its_id_or_by_what_matches_it(tmp_path: Path, text: str, link: str) -> None:
    system = host(tmp_path, {"50.yaml": text}, "eth0")
    _driven(tmp_path, "virtio_net")
    owner = BACKEND.owner(system, link)
    assert owner is not None
    assert (owner.backend, owner.files) == ("netplan", ("/etc/netplan/50.yaml",))


@pytest.mark.parametrize(
    "own",
    [
        "match: {macaddress: '52:54:00:00:00:99'}",
        "match: {name: 'en*'}",
        "match: {driver: e1000}",
        f"match: {{name: 'en*', macaddress: '{MAC}'}}",
    ],
)
def test_link_that_nothing_matches_is_not_ours(tmp_path: Path, own: str) -> None:
    system = host(tmp_path, {"50.yaml": _defined(own)}, "eth0")
    _driven(tmp_path, "virtio_net")
    assert BACKEND.owner(system, "eth0") is None


def test_bridge_with_its_ports_mac_address_is_the_bridge(tmp_path: Path) -> None:
    text = _defined(f"match: {{macaddress: '{MAC}'}}") + "  bridges: {br0: {interfaces: [lan]}}\n"
    system = host(tmp_path, {"50.yaml": text}, "br0")
    (tmp_path / "sys/class/net/br0/uevent").write_text("DEVTYPE=bridge\nINTERFACE=br0\n")
    owner = BACKEND.owner(system, "br0")
    assert owner is not None
    assert "bridges.br0" in owner.because


def test_nobody_is_asked_where_netplan_is_not_at_work(tmp_path: Path) -> None:
    host(tmp_path, {"50.yaml": "{"})
    (tmp_path / "usr/sbin/netplan").unlink()
    assert BACKEND.owner(System(tmp_path), "eth0") is None
    (tmp_path / "run/systemd/network").mkdir(parents=True)
    (tmp_path / "run/systemd/network/10-netplan-eth0.network").touch()
    with pytest.raises(NotSupportedError, match="50.yaml:"):
        BACKEND.owner(System(tmp_path), "eth0")


def test_files_merge_by_name_and_those_in_run_hide_the_others(tmp_path: Path) -> None:
    system = host(
        tmp_path,
        {
            "/lib/netplan/10.yaml": "network: {renderer: NetworkManager}",
            "/lib/netplan/90.yaml": "network: {renderer: sriov}",
            "/etc/netplan/50.yaml": "network: {renderer: networkd, ethernets: {eth0: {mtu: 1400, optional: true}}}",
            "/run/netplan/50.yaml": "network: {ethernets: {eth0: {mtu: 1300}}}",
            "/run/netplan/90.yaml": "network: {ethernets: {eth0: {mtu: 1200}}}",
            "/etc/netplan/99.yml": "network: {renderer: no-yaml}",
        },
    )
    found = configuration.read(system)
    assert [part.path for part in found.documents] == [
        "/lib/netplan/10.yaml",
        "/run/netplan/50.yaml",
        "/run/netplan/90.yaml",
    ]
    assert found.setting("ethernets", "eth0", "mtu") == "1200"
    assert found.renderer("ethernets", "eth0") == "NetworkManager"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("50-cloud-init.yaml", "written anew by cloud-init for each new instance (to stop it: echo 'network: "),
        ("90-NM-8e4aba93-1a34-4da1-b61f-2ed5b9ee1a29.yaml", "written anew by NetworkManager"),
        ("00-installer-config.yaml", "Ubuntu's installer wrote it, once"),
    ],
)
def test_who_else_writes_the_file_is_named(tmp_path: Path, name: str, said: str) -> None:
    system = host(tmp_path, {name: DHCP})
    owner = BACKEND.owner(system, "eth0")
    assert said in "\n".join(persistence.about(system, owner, "eth0"))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg", "network: {config: disabled}\n"),
        ("/etc/cloud/cloud.cfg.d/zz.cfg", "network:\n  config: disabled\n"),
        ("/etc/cloud/cloud-init.disabled", ""),
        ("/proc/cmdline", "quiet network-config=disabled ro"),
    ],
)
def test_cloud_init_that_was_told_to_keep_out_is_not_named(tmp_path: Path, path: str, text: str) -> None:
    system = host(tmp_path, {"50-cloud-init.yaml": DHCP, path: text})
    assert writers.writer(system, "/etc/netplan/50-cloud-init.yaml") == ""


def test_file_that_others_may_read_is_told(tmp_path: Path) -> None:
    system = host(tmp_path, {"50.yaml": DHCP})
    owner = BACKEND.owner(system, "eth0")
    assert owner is not None
    assert "chmod" not in owner.because
    (tmp_path / "etc/netplan/50.yaml").chmod(0o644)
    owner = BACKEND.owner(system, "eth0")
    assert owner is not None
    assert "may be read by others than root: chmod 600 /etc/netplan/50.yaml" in owner.because


def _driven(root: Path, driver: str) -> None:
    (root / "sys/bus/drivers" / driver).mkdir(parents=True)
    (root / "sys/class/net/eth0/device").mkdir()
    (root / "sys/class/net/eth0/device/driver").symlink_to(root / "sys/bus/drivers" / driver)
