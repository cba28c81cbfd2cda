"""A Debian host's only link becomes a bridge's port, with the real ifupdown, its hooks and its DHCP client."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from typing import TYPE_CHECKING

import pytest

from netns import dhcp, house, picture
from netns.lab import HOST4, HOST6, HOST_MAC, settle, undetected
from netns.traffic import lossless

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from netns.lab import Lab

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")
DELETE = ("net", "bridge", "delete", "br0", "-y")
HOOK = "/lib/bridge-utils/ifupdown.sh"
LO = "auto lo\niface lo inet loopback\n\n"
STATIC = f"""# The primary network interface
auto eth0 eth0:1
iface eth0 inet static
\taddress {HOST4}/24
\tgateway 10.9.0.1
\tmetric 100
\t# dns-* options are implemented by the resolvconf package, if installed
\tdns-nameservers 10.9.0.1
\tup ip route add 10.50.0.0/16 via 10.9.0.1 dev eth0
\tdown ip route del 10.50.0.0/16 via 10.9.0.1 dev eth0

iface eth0 inet6 static
\taddress {HOST6}/64
\tgateway 2001:db8:9::1
iface eth0:1 inet static
\taddress 10.9.0.77/24
"""
DHCP = "allow-hotplug eth0\niface eth0 inet dhcp\n\tmetric 100\n"
LEASED = "10.9.0.120"


def _configure(lab: Lab, text: str) -> Path:
    """As a boot leaves it."""
    for phase in ("pre-up", "up", "down", "post-down"):
        (lab.root / f"etc/network/if-{phase}.d").mkdir()
    for phase in ("pre-up", "post-down"):
        (lab.root / f"etc/network/if-{phase}.d/bridge").symlink_to(HOOK)
    (lab.root / "etc/dhcp/dhclient.conf").write_text("initial-interval 1;\nbackoff-cutoff 1;\n")
    file = lab.root / "etc/network/interfaces"
    file.write_text(LO + text)
    lab.ip("addr flush dev eth0\nlink set eth0 down")
    with undetected(lab):
        lab.run("ifup", "-a")
        lab.run("ifup", "--allow=hotplug", "eth0")
    if "eth0=eth0" in _state(lab):
        settle(lab)
    return file


def _state(lab: Lab) -> list[str]:
    return sorted(lab.run("ifquery", "--state").stdout.split())


def _processes(lab: Lab) -> list[list[str]]:
    """The command lines of the host's processes that are not stopped."""
    found = []
    for pid in lab.run("ip", "netns", "pids", lab.host, inside=lab.gateway).stdout.split():
        with open(f"/proc/{pid}/cmdline") as file:
            words = file.read().rstrip("\0").split("\0")
        with open(f"/proc/{pid}/status") as file:
            stopped = "State:\tT" in file.read()
        if not stopped:
            found.append(words)
    return found


def _clients(lab: Lab) -> list[list[str]]:
    return [words for words in _processes(lab) if words[0] == "dhclient"]


def _server(lab: Lab) -> AbstractContextManager[Path]:
    """Leases are renewed after 3 s, so that a client that lost its link shows."""
    return dhcp.server(lab, "--dhcp-option-force=58,3", pool=(LEASED, LEASED))


def _wait_for_renewal(lab: Lab, link: str) -> None:
    """Until the client on the link has made the lease longer again; AssertionError after 15 s."""
    before = _lifetime(lab, link)
    for _ in range(150):
        time.sleep(0.1)
        if (now := _lifetime(lab, link)) > before:
            return
        before = now
    raise AssertionError(f"lease of {link} is not renewed: {before} s are left")


def _lifetime(lab: Lab, link: str) -> int:
    (shown,) = lab.json("-4", "addr", "show", "dev", link)
    (address,) = (found for found in shown["addr_info"] if found["local"] == LEASED)
    return int(address["valid_life_time"])


def test_static_host_is_bridged_and_released_without_loss(lab: Lab) -> None:
    file = _configure(lab, STATIC)
    file.chmod(0o640)
    os.chown(file, 0, 33)
    os.setxattr(file, "user.why", b"kept")
    before, text, held = picture.everything(lab), file.read_bytes(), picture.held(lab, "eth0")
    with lossless(lab, [HOST4, HOST6, "10.9.0.77"]):
        said = lab.virtkit(*CREATE).stderr
    assert "rehearse the next start of the host, with ifupdown" in said
    assert picture.held(lab, "br0") == held
    assert _state(lab) == ["br0:1=br0:1", "br0=br0", "eth0=eth0", "lo=lo"]
    assert "nothing to change" in lab.virtkit(*CREATE).stdout
    settle(lab)
    _further_port_is_in_the_file_as_long_as_it_is_one(lab, file)
    with lossless(lab, [HOST4, HOST6]):
        lab.virtkit(*DELETE)
    assert picture.everything(lab) == before
    assert _state(lab) == ["eth0:1=eth0:1", "eth0=eth0", "lo=lo"]
    assert file.read_bytes() == text
    lab.virtkit("undo", "-y")
    assert _state(lab) == ["br0:1=br0:1", "br0=br0", "eth0=eth0", "lo=lo"]
    lab.virtkit("undo", "-y")
    assert picture.everything(lab) == before
    found = file.stat()
    assert (file.read_bytes(), found.st_mode & 0o7777, found.st_gid) == (text, 0o640, 33)
    assert os.getxattr(file, "user.why") == b"kept"
    assert _state(lab) == ["eth0:1=eth0:1", "eth0=eth0", "lo=lo"]


def _further_port_is_in_the_file_as_long_as_it_is_one(lab: Lab, file: Path) -> None:
    lab.ip("link add eth1 type veth peer name lan1")
    text = file.read_bytes()
    port = ("net", "bridge", "port")
    steps = [((*port, "add", "br0", "eth1"), "eth0 eth1"), ((*port, "remove", "br0", "eth1"), "eth0")]
    for words, ports in (*steps, (("undo",), "eth0 eth1")):
        lab.virtkit(*words, "-y")
        assert f"bridge_ports: {ports}\n" in lab.run("ifquery", "br0").stdout
        assert bool(lab.json("link", "show", "eth1")[0].get("master")) == (ports != "eth0")
    lab.virtkit("undo", "-y")
    assert file.read_bytes() == text
    lab.ip("link delete eth1")


def test_ifupdown_takes_the_bridge_down_and_up_again(lab: Lab) -> None:
    """What we left is what ``ifup`` makes, and ``ifdown`` finds it."""
    _configure(lab, STATIC)
    lab.virtkit(*CREATE)
    settle(lab)
    held = picture.held(lab, "br0")
    lab.run("ifdown", "br0:1", "br0", "eth0")
    assert {link["ifname"] for link in lab.json("link")} == {"lo", "eth0"}
    with undetected(lab):
        lab.run("ifup", "-a")
    settle(lab)
    assert picture.held(lab, "br0") == held
    (bridge,) = lab.json("link", "show", "br0")
    assert (bridge["address"], bridge["linkinfo"]["info_data"]["stp_state"]) == (HOST_MAC, 0)


def test_lease_and_its_client_move_to_the_bridge_and_back(lab: Lab) -> None:
    with _server(lab) as leases:
        _configure(lab, DHCP)
        held = picture.held(lab, "eth0")
        identity = leases.read_text().split()[1:]
        with lossless(lab, [LEASED]):
            lab.virtkit(*CREATE)
            assert picture.held(lab, "br0") == held
            assert [words[-3:] for words in _clients(lab)] == [["br0", "-e", "IF_METRIC=100"]]
            _wait_for_renewal(lab, "br0")
        assert leases.read_text().split()[1:] == identity
        assert picture.held(lab, "eth0") == {"addresses": [], "routes": []}
        with lossless(lab, [LEASED]):
            lab.virtkit("undo", "-y")
        assert picture.held(lab, "eth0") == held
        assert [words[-3] for words in _clients(lab)] == ["eth0"]
        assert not (lab.root / "var/lib/dhcp/dhclient.br0.leases").exists()
        _wait_for_renewal(lab, "eth0")


def test_dhcpcd_moves_with_its_lease_too(lab: Lab) -> None:
    (lab.root / "usr/sbin/dhclient").unlink()
    (lab.root / "var/lib/dhcpcd").mkdir(exist_ok=True)
    for name, line in (("passwd", "dhcpcd:x:995:995::/var/lib/dhcpcd:/bin/false\n"), ("group", "dhcpcd:x:995:\n")):
        with (lab.root / "etc" / name).open("a") as file:
            file.write(line)
    settings = lab.root / "etc/dhcpcd.conf"
    usual = settings.read_text()
    with _server(lab) as leases:
        settings.write_text(f"{usual}\nnodelay\nnoarp\n")
        _configure(lab, DHCP)
        settings.write_text(usual)
        held = picture.held(lab, "eth0")
        identity = leases.read_text().split()[1:]
        with lossless(lab, [LEASED]):
            lab.virtkit(*CREATE)
        assert picture.held(lab, "br0") == held
        titles = {words[0].strip() for words in _processes(lab) if "dhcpcd" in words[0]}
        assert any(title.startswith("dhcpcd: br0 [") for title in titles), titles
        assert not [title for title in titles if "eth0" in title]
        assert leases.read_text().split()[1:] == identity


def test_client_that_gets_no_lease_takes_the_bridge_back(lab: Lab) -> None:
    """The server is gone, and the router of no use: dhclient drops the address, and all is put back."""
    with _server(lab):
        file = _configure(lab, DHCP)
    reject = ("-i", "lan0", "-p", "icmp", "-j", "REJECT", "--reject-with", "icmp-host-unreachable")
    lab.run("iptables", "-I", "INPUT", *reject, inside=lab.gateway)
    (lab.root / "etc/dhcp/dhclient.conf").write_text("timeout 2;\nreboot 1;\n")
    held, text = picture.held(lab, "eth0"), file.read_bytes()
    done = lab.virtkit(*CREATE, check=False)
    assert done.returncode == 4, done.stderr
    assert f"dhclient gave up {LEASED}/24" in done.stderr
    assert (picture.held(lab, "eth0"), file.read_bytes()) == (held, text)
    assert [words[-3] for words in _clients(lab)] == ["eth0"]
    assert _state(lab) == ["eth0=eth0", "lo=lo"]


def test_client_that_was_held_goes_on_after_nobody_confirmed(lab: Lab) -> None:
    """It is stopped for the move; the guardian, alone after SIGKILL, gives it back what it had."""
    with _server(lab):
        _configure(lab, DHCP)
        held = picture.held(lab, "eth0")
        done = lab.start(sys.executable, "-m", "virtkit", *CREATE, "--confirm", "3")
        for _ in range(100):
            if picture.held(lab, "eth0") != held:
                break
            time.sleep(0.1)
        assert not _clients(lab)
        done.kill()
        done.communicate()
        lab.closed()
        assert picture.held(lab, "eth0") == held
        assert [words[-3] for words in _clients(lab)] == ["eth0"]
        _wait_for_renewal(lab, "eth0")


def test_host_that_would_be_dead_at_boot_is_not_touched(lab: Lab) -> None:
    file = _configure(lab, STATIC)
    before, text = picture.everything(lab), file.read_bytes()
    hook = lab.root / "etc/network/if-pre-up.d/bridge"
    hook.unlink()
    refused = lab.virtkit(*CREATE, check=False)
    assert (refused.returncode, "apt install bridge-utils" in refused.stderr) == (1, True), refused.stderr
    hook.symlink_to(HOOK)
    file.write_text(file.read_text() + "iface eth7 inet static\n\tnetmask\n")
    text = file.read_bytes()
    refused = lab.virtkit(*CREATE, check=False)
    assert re.search(r"interfaces:\d+: option with empty value", refused.stderr), refused.stderr
    (lab.root / "etc/network/interfaces.new").write_text("auto lo\n")
    refused = lab.virtkit(*CREATE, check=False)
    assert "ifreload -a" in refused.stderr
    assert (picture.everything(lab), file.read_bytes()) == (before, text)


def test_writers_above_are_named(lab: Lab) -> None:
    _configure(lab, f"source interfaces.d/*\n{'#' * 3}\n")
    folder = lab.root / "etc/network/interfaces.d"
    folder.mkdir()
    (folder / "50-cloud-init").write_text(f"auto eth0\niface eth0 inet static\n address {HOST4}/24\n")
    plan = lab.virtkit(*CREATE[:-1], "--plan", check=False).stdout
    assert "/etc/network/interfaces.d/50-cloud-init: written anew by cloud-init" in plan
    assert "/etc/cloud/cloud.cfg.d" in plan
    (lab.root / "etc/pve").mkdir()
    assert "written anew by Proxmox VE" in lab.virtkit(*CREATE[:-1], "--plan", check=False).stdout


# ifupdown2 sets an MTU by /sys, which the lab has read-only.
WRITABLE = ("sh", "-c", 'mount -o remount,rw /sys && exec "$@"', "sh")


def test_ifupdown2_finds_everything_as_its_files_say(lab: Lab) -> None:
    """Proxmox VE's. It conflicts with ifupdown as a package, so it is unpacked over it here."""
    for name in ("ifup", "ifdown", "ifquery"):
        (lab.root / "usr/sbin" / name).unlink()
    for source, target in (("etc", "etc"), ("usr", "usr"), ("sbin", "usr/sbin"), ("lib", "usr/lib")):
        shutil.copytree(house.package("ifupdown2") / source, lab.root / target, dirs_exist_ok=True, symlinks=True)
    (lab.root / "usr/share/ifupdown2/ifupdown2").chmod(0o755)
    (lab.root / "etc/pve").mkdir()
    addresses = f"address {HOST4}/24\n\tgateway 10.9.0.1\n\tmtu 1400\niface eth0 inet6 static\n\taddress {HOST6}/64\n"
    file = lab.root / "etc/network/interfaces"
    file.write_text(f"{LO}auto eth0\niface eth0 inet static\n\t{addresses}")
    lab.ip("addr flush dev eth0\nlink set eth0 down")
    lab.run(*WRITABLE, "ifup", "-a")
    settle(lab)
    with lossless(lab, [HOST4, HOST6]):
        said = lab.virtkit(*CREATE).stderr
        checked = lab.run("ifquery", "-a", "--check").stdout
        lab.run(*WRITABLE, "ifreload", "-a")
    assert "not rehearsed" not in said
    assert "with or without this change" not in said
    assert "bridge-ports eth0" in file.read_text()
    assert ("[fail]" not in checked, checked.count("[pass]") >= 8) == (True, True), checked
    assert [lab.json("link", "show", name)[0]["mtu"] for name in ("br0", "eth0")] == [1400, 1400]


def test_link_that_does_not_come_up_at_boot_has_no_owner(lab: Lab) -> None:
    _configure(lab, "iface eth0 inet static\n\taddress 10.9.0.11/24\n")
    assert "nobody configures eth0" in lab.virtkit(*CREATE[:-1], "--plan", check=False).stdout
