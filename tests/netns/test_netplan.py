"""A link of netplan's becomes a port and back, with the real netplan and the daemon that it renders for."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from netns import dhcp, networkd, networkmanager, picture
from netns.lab import HOST4, HOST6, HOST_MAC, settle
from netns.traffic import lossless

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.lab import Lab

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y", "--no-confirm")
DELETE = ("net", "bridge", "delete", "br0", "-y", "--no-confirm")
BASE = """\
# the host's own file
network:
  version: 2
  ethernets:
    # uplink, see ticket 4711
    uplink:
      match: {name: "eth*"}
      set-name: eth0
      # the office
      addresses:
        - 10.9.0.11/24   # main
        - "2001:db8:9::11/64"
      # - 10.9.0.13/24
      accept-ra: no   # never
      wakeonlan: true
"""
ROUTES = """\
network:
  ethernets:
    uplink:
      routes:
        - {to: default, via: 10.9.0.1, metric: 50}   # way out
        - to: default
          via: "2001:db8:9::1"
        - {to: 172.31.0.0/16, via: 10.9.0.2, mtu: 1400}
      nameservers: {addresses: [10.9.0.1], search: [house.example]}
"""
DHCP = "network: {ethernets: {eth0: {dhcp4: true}}}\n"


@contextmanager
def _at_work(lab: Lab, **files: str) -> Iterator[None]:
    for name, text in files.items():
        _write(lab, name, text)
    lab.run("netplan", "generate")
    with networkd.running(lab, {}):
        yield


def _write(lab: Lab, name: str, text: str) -> None:
    path = lab.root / "etc/netplan" / f"{name}.yaml"
    path.write_text(text)
    path.chmod(0o640)
    shutil.chown(path, "daemon", "daemon")
    os.setxattr(path, "user.note", b"kept")


def _files(lab: Lab) -> dict[str, tuple[object, ...]]:
    """Everything that makes them the same files."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted((lab.root / "etc/netplan").iterdir()):
        seen = path.stat()
        found[path.name] = (path.read_bytes(), seen.st_mode, seen.st_uid, seen.st_gid, os.getxattr(path, "user.note"))
    return found


def test_two_files_and_a_match_change_by_what_moves_alone_and_come_back_exactly(lab: Lab) -> None:
    with _at_work(lab, a=BASE, b=ROUTES):
        files, before, held = _files(lab), picture.everything(lab), picture.held(lab, "eth0")
        with lossless(lab, (HOST4, HOST6)):
            said = lab.virtkit(*CREATE)
        assert "with or without this change" not in said.stderr
        assert picture.held(lab, "br0") == held
        assert picture.held(lab, "eth0") == {"addresses": [], "routes": []}
        assert networkd.states(lab) == {"lo": "unmanaged", "eth0": "configured", "br0": "configured"}
        _moved(lab)
        assert [entry[1:] for entry in _files(lab).values()] == [entry[1:] for entry in files.values()]
        lab.run("netplan", "generate")  # as systemctl daemon-reload does at any time
        with lossless(lab, (HOST4, HOST6)):
            lab.virtkit("undo", "-y")
        assert _files(lab) == files
        networkd.configured(lab, "eth0")
        assert picture.everything(lab) == before


def _moved(lab: Lab) -> None:
    """Line by line: what is gone from its place, and what is there besides."""
    base, routes = ((lab.root / "etc/netplan" / name).read_text().splitlines() for name in ("a.yaml", "b.yaml"))
    assert base == [
        *BASE.splitlines()[:8],
        "      dhcp4: false",
        "      dhcp6: false",
        "      link-local: []",
        *BASE.splitlines()[12:],
        "  bridges:",
        "    br0:",
        "      interfaces: [uplink]",
        f'      macaddress: "{HOST_MAC}"',
        "      mtu: 1500",
        "      parameters: {stp: false, forward-delay: 0}",
        *BASE.splitlines()[8:14],
    ]
    assert routes == [
        *ROUTES.splitlines()[:3],
        "      dhcp4: false",
        "  bridges:",
        "    br0:",
        *ROUTES.splitlines()[3:],
    ]


def test_lease_stays_with_the_host_and_a_client_runs_on_the_bridge(lab: Lab) -> None:
    with dhcp.server(lab) as leases, _at_work(lab, only=DHCP):
        given, held = leases.read_text().split()[1:], _held(lab, "eth0")
        (address,) = [str(entry["local"]) for entry in held["addresses"]]
        with lossless(lab, (address,)):
            lab.virtkit(*CREATE)
        assert _held(lab, "br0") == held
        assert leases.read_text().split()[1:] == given  # the same client, by MAC address and client identifier
        index = lab.json("link", "show", "br0")[0]["ifindex"]
        assert f"ADDRESS={address}\n" in (lab.root / f"run/systemd/netif/leases/{index}").read_text()
        with lossless(lab, (address,)):
            lab.virtkit(*DELETE)
        assert (lab.root / "etc/netplan/only.yaml").read_text() == DHCP
        assert not (lab.root / "etc/systemd/network/10-netplan-br0.network.d").exists()
        assert _held(lab, "eth0") == held
        assert leases.read_text().split()[1:] == given


def _held(lab: Lab, link: str) -> dict[str, list[dict[str, object]]]:
    """networkd gives what it keeps (KeepConfiguration=) no end."""
    held = picture.held(lab, link)
    return {key: [{k: v for k, v in e.items() if k != "dynamic"} for e in entries] for key, entries in held.items()}


def test_networkmanager_has_the_bridge_without_a_packet_lost_and_the_port_again(lab: Lab) -> None:
    renderer = "  renderer: NetworkManager\n  ethernets:\n"
    text = BASE.replace("  ethernets:\n", renderer) + "".join(ROUTES.splitlines(keepends=True)[3:])
    with _managed(lab, text):
        files, before, held = _files(lab), picture.everything(lab), picture.held(lab, "eth0")
        with lossless(lab, (HOST4, HOST6)):
            said = lab.virtkit(*CREATE)
        assert "with or without this change" not in said.stderr
        assert picture.held(lab, "br0") == held
        assert picture.held(lab, "eth0") == {"addresses": [], "routes": []}
        assert _connected(lab) == {"br0": "netplan-br0", "eth0": "netplan-uplink"}
        with lossless(lab, (HOST4, HOST6)):
            lab.virtkit("undo", "-y")
        assert _files(lab) == files
        assert _connected(lab) == {"eth0": "netplan-uplink"}
        networkd.until(lambda: picture.everything(lab) == before, "everything as before")


@contextmanager
def _managed(lab: Lab, text: str) -> Iterator[None]:
    _write(lab, "a", text)
    lab.run("netplan", "generate")
    with networkmanager.running(lab):
        networkd.until(lambda: _connected(lab) == {"eth0": "netplan-uplink"}, "eth0 connected", 20)
        settle(lab)
        yield


def _connected(lab: Lab) -> dict[str, str]:
    """link -> profile."""
    found = networkmanager.states(lab).items()
    return {link: profile for link, (state, profile) in found if state == "connected"}


def test_file_that_netplan_does_not_take_and_a_daemon_that_does_not_run_leave_all_as_it_is(lab: Lab) -> None:
    settle(lab)
    before = picture.everything(lab)
    _write(lab, "a", "network:\n  ethernets:\n    eth0:\n      addresses: [10.9.0.11/99]\n")
    refused = lab.virtkit(*CREATE, check=False)
    assert refused.returncode == 1
    assert "/etc/netplan/a.yaml:4:18: Error in network definition: invalid prefix length" in refused.stderr
    _write(lab, "a", "network: {renderer: NetworkManager, ethernets: {eth0: {dhcp4: true}}}\n")
    refused = lab.virtkit(*CREATE, check=False)
    assert refused.returncode == 1
    assert "NetworkManager's, which does not answer" in refused.stderr
    assert picture.everything(lab) == before
