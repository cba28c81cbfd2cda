"""firewalld lets in over the bridge what it let in over the port: the real one, with its zones in nftables."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from netns.lab import GATEWAY4, HOST4, HOST_MAC

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.lab import Lab

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")


@contextmanager
def _firewall(lab: Lab) -> Iterator[None]:
    """With what its package's installation would have linked."""
    actions = lab.root / "usr/share/polkit-1/actions"
    policy = "org.fedoraproject.FirewallD1"
    (actions / f"{policy}.policy").symlink_to(f"{policy}.server.policy.choice")
    bus = lab.start("dbus-daemon", "--system", "--nofork", "--nopidfile")
    time.sleep(0.3)
    daemon = lab.start("firewalld", "--nofork", "--nopid")
    try:
        for _ in range(80):
            if lab.run("firewall-cmd", "--state", check=False).returncode == 0:
                break
            time.sleep(0.25)
        yield
    finally:
        for process in (daemon, bus):
            process.kill()
            process.communicate()


def _reached(lab: Lab) -> bool:
    """Whether the gateway gets a connection to a port of the host's that only the zone ``trusted`` lets in."""
    there = replace(lab, host=lab.gateway)
    try:
        there.call(lambda: socket.create_connection((HOST4, 4444), timeout=2)).close()
    except OSError:
        return False
    return True


def test_bridge_is_in_its_ports_zone_before_it_has_the_addresses(lab: Lab) -> None:
    with _firewall(lab), lab.call(lambda: socket.create_server((HOST4, 4444))):
        assert not _reached(lab)
        lab.run("firewall-cmd", "--zone=trusted", "--change-interface=eth0")
        assert _reached(lab)
        said = lab.virtkit(*CREATE).stderr
        assert said.index("br0: in firewalld's zone trusted") < said.index("br0: take eth0 as port")
        assert _reached(lab)
        lab.virtkit("undo", "-y")
        assert _reached(lab)
        assert lab.run("firewall-cmd", "--get-zone-of-interface=br0", check=False).stdout == ""


def test_guests_that_it_rejects_on_a_bridge_are_let_through_by_a_zone_for_the_bridge(lab: Lab) -> None:
    """A rule of nftables alone; the zone is the default one, which the bridge was in all the time."""
    subprocess.run(["ip", "netns", "add", lab.guest], check=True)
    lab.ip(f"link add br0 address {HOST_MAC} type bridge nf_call_iptables 1\nlink set br0 up\nlink set eth0 master br0")
    lab.ip(f"link add tap0 type veth peer name nic0 netns {lab.guest}\nlink set tap0 master br0 up")
    lab.ip("link set nic0 up\naddr add 10.9.0.77/24 dev nic0", inside=lab.guest)
    with _firewall(lab):
        assert not _answered(lab)
        seen = lab.virtkit("net", "doctor", check=False).stdout
        assert "nft inet firewalld filter_FORWARD drops what br0 forwards, as firewalld left it" in seen
        assert "--permanent --zone=public --change-interface=br0" in seen
        lab.virtkit("net", "doctor", "--mend", "bridge_filter", "-y")
        assert _answered(lab)
        assert "bridge_filter" not in lab.virtkit("net", "doctor", check=False).stdout
        lab.virtkit("undo", "-y")
        assert not _answered(lab)


def _answered(lab: Lab) -> bool:
    return lab.run("ping", "-c", "1", "-w", "2", GATEWAY4, inside=lab.guest, check=False).returncode == 0


def test_link_in_the_default_zone_needs_nothing(lab: Lab) -> None:
    with _firewall(lab):
        assert "firewalld's zone" not in lab.virtkit(*CREATE[:-1], "--plan", check=False).stdout
