"""The bridge's layer 3 is its port's again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from net.netplan.samples import bridged, host, means, released, write
from net.netplan.test_bridging import BRIDGED, COMMENTED
from virtkit.core.errors import BusyError, NotFoundError, NotSupportedError

if TYPE_CHECKING:
    from pathlib import Path

FILE = "/etc/netplan/50.yaml"
HEAD = "network:\n  ethernets:\n    eth0: {dhcp4: false, wakeonlan: true}\n    eth1: {}\n"


def test_all_settings_come_back_with_their_comments(tmp_path: Path) -> None:
    back = released(host(tmp_path, {"50.yaml": BRIDGED}))[FILE]
    assert means(back) == means(COMMENTED)
    assert sorted(line.strip() for line in back.splitlines()) == sorted(line.strip() for line in COMMENTED.splitlines())


@pytest.mark.parametrize(
    "text",
    [
        "network:\n  ethernets:\n    eth0:\n      # a\n      addresses: [10.9.0.11/24]\n      mtu: 1400\n",
        "network: {ethernets: {eth0: {dhcp4: true}}}\n",
        "network:\n  ethernets:\n    eth0: {dhcp4: true}\n  vlans: {}\n",
    ],
)
def test_there_and_back_is_the_same_file(tmp_path: Path, text: str) -> None:
    system = host(tmp_path, {"50.yaml": text})
    write(system, bridged(system))
    assert released(system) == {FILE: text}


def test_bridge_in_a_file_of_its_own_leaves_it_to_the_port(tmp_path: Path) -> None:
    files = {
        "10.yaml": HEAD,
        "50.yaml": "network:\n  bridges:\n    br0:\n      interfaces: [eth0]\n      # ours\n      dhcp4: true\n",
    }
    found = released(host(tmp_path, files))
    assert found == {
        "/etc/netplan/10.yaml": "network:\n  ethernets:\n    eth0: {wakeonlan: true}\n    eth1: {}\n",
        FILE: "network:\n  ethernets:\n    eth0:\n      # ours\n      dhcp4: true\n",
    }


def test_port_without_any_setting_keeps_one_that_netplan_needs(tmp_path: Path) -> None:
    text = "network:\n  ethernets:\n    eth0:\n      dhcp4: false\n  bridges:\n    br0: {interfaces: [eth0]}\n"
    network: Any = means(released(host(tmp_path, {"50.yaml": text}))[FILE])["network"]
    assert network == {"ethernets": {"eth0": {"dhcp4": "false"}}}


@pytest.mark.parametrize(
    ("bridges", "error", "said"),
    [
        ("    br0: {interfaces: [eth0, eth1]}\n", BusyError, "ports of br0 are eth0, eth1, expected eth0 alone"),
        ("    br9: {interfaces: [eth0]}\n", NotFoundError, "do not define it"),
        (
            "    br0:\n      interfaces: [eth0]\n      openvswitch: {}\n",
            NotSupportedError,
            "50.yaml:8:7: openvswitch is of",
        ),
        (
            "    br0: {interfaces: [eth0]}\n  vlans: {v5: {id: 5, link: br0}}\n",
            BusyError,
            "50.yaml:7:23: vlans.v5 stands on br0",
        ),
    ],
)
def test_bridge_that_is_more_than_its_port_is_not_released(
    tmp_path: Path, bridges: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        released(host(tmp_path, {"50.yaml": f"{HEAD}  bridges:\n{bridges}"}))
