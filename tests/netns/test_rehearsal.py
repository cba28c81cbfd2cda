"""A start of the host is rehearsed with the real daemon, beside the host that goes on."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from netns import picture
from netns.lab import HOST_MAC, settle

if TYPE_CHECKING:
    from netns.lab import Lab

pytestmark = pytest.mark.netns

NETWORKD = """
import json, sys
from virtkit.core.system import System
from virtkit.net import rehearsal
from virtkit.net.backend import Boot, File
folder = ("install", "-d", "-o", "systemd-network", "/run/systemd/netif/links", "/run/systemd/netif/leases")
daemon = ("/lib/systemd/systemd-networkd",)
boot = Boot((folder,), daemon, fitting="virtkit.net.networkd.twins", patience=3)
was = [File(path, text) for path, text in json.loads(sys.argv[1]).items()]
found = rehearsal.rehearse(System(), boot, "eth0", "br0", was)
print(json.dumps([list(map(str, found.wrong)), list(map(str, found.lost)), found.outcome.clients]))
"""
BRIDGE = f"[NetDev]\nName=br0\nKind=bridge\nMACAddress={HOST_MAC}\n[Bridge]\nSTP=no\n"
PORT = "[Match]\nName=eth0\n[Network]\nBridge=br0\nLinkLocalAddressing=no\n"
STATIC = """[Network]
Address=10.9.0.11/24
Address=2001:db8:9::11/64
[Route]
Gateway=10.9.0.1
Metric=100
[Route]
Gateway=2001:db8:9::1
IPv6Preference=high
"""
FOLDER = "/etc/systemd/network"
WAS = {f"{FOLDER}/br0.netdev": None, f"{FOLDER}/br0.network": None}


def _write(lab: Lab, name: str, text: str) -> None:
    (lab.root / FOLDER.lstrip("/") / name).write_text(text)


def _files(lab: Lab, layer3: str = STATIC) -> dict[str, str | None]:
    """The new files; -> the old ones."""
    _write(lab, "br0.netdev", BRIDGE)
    _write(lab, "br0.network", f"[Match]\nName=br0\n{layer3}")
    _write(lab, "eth0.network", PORT)
    return {**WAS, f"{FOLDER}/eth0.network": f"[Match]\nName=eth0\n{layer3}"}


def _rehearse(lab: Lab, was: dict[str, str | None]) -> tuple[list[str], list[str], list[str]]:
    wrong, lost, clients = json.loads(lab.run(sys.executable, "-c", NETWORKD, json.dumps(was)).stdout)
    return wrong, lost, clients


@pytest.fixture
def bridged(lab: Lab) -> Lab:
    lab.ip("route change default via 10.9.0.1 metric 100 proto static")
    lab.ip("route del default via 2001:db8:9::1")
    lab.ip("route add default via 2001:db8:9::1 metric 1024 proto static pref high")
    lab.virtkit("net", "bridge", "create", "br0", "--port", "eth0", "-y")
    settle(lab)
    return lab


def test_files_that_make_what_the_kernel_shows_are_found_good(bridged: Lab) -> None:
    was, before = _files(bridged), picture.everything(bridged)
    assert _rehearse(bridged, was) == ([], [], [])
    assert picture.everything(bridged) == before


def test_files_that_find_the_card_by_its_hardware_find_its_twin(bridged: Lab) -> None:
    index = bridged.json("link", "show", "eth0")[0]["ifindex"]
    (bridged.root / "run/udev/data").mkdir(parents=True)
    (bridged.root / f"run/udev/data/n{index}").write_text("I:1\nE:ID_PATH=pci-0000:07:00.0\nG:systemd\n")
    was = _files(bridged)
    card = f"PermanentMACAddress={HOST_MAC}\nPath=pci-*"
    _write(bridged, "eth0.network", PORT.replace("Name=eth0", f"{card}\nName=!br0"))
    _write(bridged, "00-other.network", "[Match]\nPath=usb-*\n[Network]\nAddress=10.5.0.1/24\n")
    assert _rehearse(bridged, was) == ([], [], [])


def test_forgotten_route_and_port_with_an_address_are_found(bridged: Lab) -> None:
    was = _files(bridged, STATIC.replace("Metric=100", "Metric=200"))
    was[f"{FOLDER}/eth0.network"] = f"[Match]\nName=eth0\n{STATIC}"
    _write(bridged, "eth0.network", PORT + "Address=10.5.0.1/24\n")
    wrong, lost, _ = _rehearse(bridged, was)
    assert "br0 lacks default via 10.9.0.1 proto static metric 100" in wrong
    assert "eth0 has 10.5.0.1/24 brd 10.5.0.255" in wrong
    assert lost == []


def test_bridge_that_no_file_makes_is_found(bridged: Lab) -> None:
    _files(bridged)
    (bridged.root / f"{FOLDER}/br0.netdev".lstrip("/")).unlink()
    wrong, _, _ = _rehearse(bridged, {})
    assert {"br0 lacks kind bridge", "br0 has no link", "eth0 lacks a place in br0"} <= set(wrong)


def test_what_no_start_ever_made_is_told_and_not_blamed(bridged: Lab) -> None:
    bridged.ip("addr add 10.9.0.99/24 dev br0\nroute add 10.66.0.0/16 via 10.9.0.1")
    wrong, lost, _ = _rehearse(bridged, _files(bridged))
    assert wrong == []
    assert lost == [
        "br0 lacks 10.9.0.99/24 secondary",
        "br0 lacks 10.66.0.0/16 via 10.9.0.1 proto boot",
    ]


def test_dhcp_client_asks_over_the_bridge_and_gets_what_the_host_has(bridged: Lab) -> None:
    bridged.ip("addr flush dev br0\nroute flush dev br0")
    bridged.ip("addr add 10.9.0.50/24 brd + dev br0 valid_lft 600 preferred_lft 600 metric 1024")
    bridged.ip("route del default via 2001:db8:9::1")
    bridged.ip("route add default via 10.9.0.1 proto dhcp src 10.9.0.50 metric 1024")
    bridged.ip("route add 10.9.0.1 dev br0 proto dhcp src 10.9.0.50 metric 1024 scope link")
    wrong, lost, clients = _rehearse(bridged, _files(bridged, "[Network]\nDHCP=ipv4\n[DHCPv4]\nClientIdentifier=mac\n"))
    assert (wrong, lost) == ([], [])
    assert clients == [f"{HOST_MAC} 01{HOST_MAC.replace(':', '')}"]


VANDALS = """
import json, sys
from virtkit.core.system import System
from virtkit.net import rehearsal
from virtkit.net.backend import Boot
deeds = ("echo x > /usr/vandal", "echo x > /etc/vandal", "rm -rf /etc/systemd/network", "echo x > /run/vandal",
    "echo x > /root/vandal", "echo 1 > /proc/sys/kernel/sysrq", "ip link delete br0", "hostname vandal",
    "kill -9 $(cat /run/victim)")
boot = Boot(tuple(("sh", "-c", deed) for deed in deeds), patience=1)
print(json.dumps(rehearsal.rehearse(System(), boot, "eth0", "br0").outcome.log))
"""


def test_nothing_that_runs_there_reaches_the_host(bridged: Lab) -> None:
    _files(bridged)
    victim = bridged.start("sleep", "60")
    try:
        (bridged.root / "run/victim").write_text(str(victim.pid))
        before, name = picture.everything(bridged), bridged.run("hostname").stdout
        log = json.loads(bridged.run(sys.executable, "-c", VANDALS).stdout)
        assert victim.poll() is None
        assert picture.everything(bridged) == before
        assert bridged.run("hostname").stdout == name
        assert sorted(path.name for path in (bridged.root / FOLDER.lstrip("/")).iterdir()) == [
            "br0.netdev",
            "br0.network",
            "eth0.network",
        ]
        assert not [place for place in ("usr", "etc", "run", "root") if (bridged.root / place / "vandal").exists()]
        assert any("/usr/vandal" in line and "Read-only file system" in line for line in log)
    finally:
        victim.kill()
        victim.communicate()
