"""A host with RHEL's network-scripts: its only link becomes a bridge's port, and their ``ifup`` makes the same of it.

The scripts are in no package here: ``$VIRTKIT_INITSCRIPTS`` names a checkout of fedora-sysv/initscripts, and their
``ipcalc`` is Debian's ipcalc-ng.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netns import dhcp, house, picture
from netns.lab import HOST4, HOST6, HOST_MAC, settle, undetected
from netns.traffic import lossless

if TYPE_CHECKING:
    from netns.lab import Lab

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")
DELETE = ("net", "bridge", "delete", "br0", "-y")
SCRIPTS = "etc/sysconfig/network-scripts"
STATIC = f"""# Installed by anaconda
TYPE=Ethernet
BOOTPROTO=none
NAME=eth0
UUID=5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03
HWADDR={HOST_MAC.upper()}
DEVICE=eth0
ONBOOT=yes
IPADDR={HOST4}
PREFIX=24
IPADDR1=10.9.0.12
NETMASK1=255.255.255.0
GATEWAY=10.9.0.1
DNS1=10.9.0.1
ARPCHECK=no
ARPCHECK1=no
ARPUPDATE=no
ARPUPDATE1=no
IPV6INIT=yes
IPV6_AUTOCONF=no
IPV6ADDR={HOST6}/64
IPV6_DEFAULTGW=2001:db8:9::1
"""
ALIAS = "DEVICE=eth0:1\nIPADDR=10.9.0.77\nPREFIX=24\nARPCHECK=no\nARPUPDATE=no\n"
ROUTE = "10.50.0.0/16 via 10.9.0.1 dev eth0\n"
DHCP = "TYPE=Ethernet\nDEVICE=eth0\nBOOTPROTO=dhcp\nUUID=5f-1\nPERSISTENT_DHCLIENT=yes\n"
DHCP += "DHCP_SEND_HOSTNAME=no\n"  # RHEL's dhclient has an option for it, Debian's has not
LEASED = "10.9.0.120"


def _checkout() -> Path:
    place = Path(os.environ.get("VIRTKIT_INITSCRIPTS", "/nowhere"))
    if not (place / "network-scripts/ifup-eth").exists():
        pytest.skip("needs RHEL's network-scripts: a checkout of fedora-sysv/initscripts in $VIRTKIT_INITSCRIPTS")
    return place


@pytest.fixture
def redhat(lab: Lab) -> Lab:
    """The lab's host as a RHEL that starts the network service at boot."""
    place, root = _checkout(), lab.root
    shutil.copytree(place / "network-scripts", root / SCRIPTS, symlinks=True, dirs_exist_ok=True)
    for name in ("functions", "network"):
        shutil.copyfile(place / f"etc/rc.d/init.d/{name}", root / f"etc/init.d/{name}")
    shutil.copyfile(house.package("ipcalc-ng") / "usr/bin/ipcalc-ng", root / "usr/bin/ipcalc")
    for path in (*(root / SCRIPTS).glob("if*"), root / "etc/init.d/network", root / "usr/bin/ipcalc"):
        path.chmod(0o755)
    for name in ("ifup", "ifdown"):
        (root / "usr/sbin" / name).unlink()
        (root / "usr/sbin" / name).symlink_to(f"/{SCRIPTS}/{name}")
    (root / "usr/sbin/arping").symlink_to("/usr/bin/arping")
    for folder in ("var/lib/dhclient", "var/lock/subsys", "etc/rc3.d"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "etc/rc3.d/S10network").symlink_to("../init.d/network")
    (root / "etc/sysconfig/network").write_text("NETWORKING=yes\nNOZEROCONF=yes\n")
    return lab


def _configure(lab: Lab, files: dict[str, str]) -> None:
    """As a boot leaves it."""
    for name, text in files.items():
        (lab.root / SCRIPTS / name).write_text(text)
    lab.ip("addr flush dev eth0\nlink set eth0 down")
    with undetected(lab):
        lab.run("ifup", "eth0", "boot")
    settle(lab)


def _folder(lab: Lab) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (lab.root / SCRIPTS).iterdir()}


def _clients(lab: Lab) -> list[str]:
    found = []
    for pid in lab.run("ip", "netns", "pids", lab.host, inside=lab.gateway).stdout.split():
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if "dhclient" in words[0]:
            found.append(" ".join(words).strip())
    return found


def test_static_host_is_bridged_and_released_without_loss(redhat: Lab) -> None:
    _configure(redhat, {"ifcfg-eth0": STATIC, "ifcfg-eth0:1": ALIAS, "route-eth0": ROUTE})
    before, files, held = picture.everything(redhat), _folder(redhat), picture.held(redhat, "eth0")
    assert len(held["addresses"]) == 4
    with lossless(redhat, [HOST4, HOST6]):
        said = redhat.virtkit(*CREATE).stderr
    assert "rehearse the next start of the host, with network-scripts" in said
    assert picture.held(redhat, "br0") == held
    assert {"ifcfg-br0", "ifcfg-br0:1", "route-br0"} <= _folder(redhat).keys()
    with lossless(redhat, [HOST4, HOST6]):
        redhat.virtkit(*DELETE)
    assert picture.everything(redhat) == before
    redhat.virtkit("undo", "-y")
    assert picture.held(redhat, "br0") == held
    redhat.virtkit("undo", "-y")
    assert (picture.everything(redhat), _folder(redhat)) == (before, files)


def test_real_ifup_makes_of_the_new_files_what_stands(redhat: Lab) -> None:
    """After ``ifdown`` of both, as after a reboot."""
    _configure(redhat, {"ifcfg-eth0": STATIC, "ifcfg-eth0:1": ALIAS, "route-eth0": ROUTE})
    redhat.virtkit(*CREATE)
    settle(redhat)
    held = picture.held(redhat, "br0")
    redhat.run("ifdown", "br0", check=False)
    redhat.run("ifdown", "eth0", check=False)
    subprocess.run(["ip", "-n", redhat.host, "link", "delete", "br0"], check=False, capture_output=True)
    with undetected(redhat):
        for name in ("eth0", "br0"):
            redhat.run("ifup", name, "boot")
    settle(redhat)
    assert picture.held(redhat, "br0") == held
    (bridge,) = redhat.json("link", "show", "br0")
    data = bridge["linkinfo"]["info_data"]
    assert (bridge["address"], data["stp_state"], data["forward_delay"]) == (HOST_MAC, 0, 0)


def test_lease_and_its_client_move_to_the_bridge_and_back(redhat: Lab) -> None:
    with dhcp.server(redhat, pool=(LEASED, LEASED)):
        _configure(redhat, {"ifcfg-eth0": DHCP})
        held, files = picture.held(redhat, "eth0"), _folder(redhat)
        with lossless(redhat, [LEASED]):
            redhat.virtkit(*CREATE)
        assert picture.held(redhat, "br0") == held
        (client,) = _clients(redhat)
        for word in ("-lf /var/lib/dhclient/dhclient-br0.leases", "-pf /run/dhclient-br0.pid", " br0"):
            assert word in client
        redhat.virtkit("undo", "-y")
        assert (picture.held(redhat, "eth0"), _folder(redhat)) == (held, files)
        assert [client.split()[-1] for client in _clients(redhat)] == ["eth0"]


def test_nobody_owns_the_link_where_the_service_does_not_start(redhat: Lab) -> None:
    _configure(redhat, {"ifcfg-eth0": STATIC})
    assert "configured by network-scripts" in redhat.virtkit(*CREATE[:-1], "--plan", check=False).stdout
    (redhat.root / "etc/rc3.d/S10network").unlink()
    assert "nobody configures eth0" in redhat.virtkit(*CREATE[:-1], "--plan", check=False).stdout
