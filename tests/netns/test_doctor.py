"""Guests on a bridge are muted in every way that the field knows; the doctor finds it, mends it, and takes it back."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from netns.lab import GATEWAY4, HOST4, HOST_MAC

if TYPE_CHECKING:
    from netns.lab import Lab

pytestmark = pytest.mark.netns


@pytest.fixture
def bridged(lab: Lab) -> Lab:
    """br0 over eth0, and a guest's NIC on it: a namespace with 10.9.0.77."""
    subprocess.run(["ip", "netns", "add", lab.guest], check=True)
    lab.ip(
        f"link add br0 address {HOST_MAC} type bridge stp_state 0 forward_delay 0\n"
        "link set br0 up\nlink set eth0 master br0\naddr del 10.9.0.11/24 dev eth0\naddr add 10.9.0.11/24 dev br0\n"
        "link set eth0 down\nlink set eth0 up\nroute add default via 10.9.0.1\n"
        f"link add tap0 type veth peer name nic0 netns {lab.guest}\nlink set tap0 master br0 up\n"
    )
    lab.ip("link set nic0 up\naddr add 10.9.0.77/24 dev nic0", inside=lab.guest)
    return lab


def found(lab: Lab) -> dict[str, dict[str, object]]:
    told = lab.virtkit("net", "doctor", "--output", "json", check=False)
    assert told.stdout, told.stderr
    findings = json.loads(told.stdout)
    assert told.returncode == (1 if findings else 0)
    return {finding["check"]: finding for finding in findings if finding["check"] != "port_security"}


def reaches(lab: Lab, *, size: int = 56) -> bool:
    """The gateway from the guest."""
    ping = ("ping", "-c", "8", "-i", "0.3", "-W", "1", "-M", "do", "-s", str(size), GATEWAY4)
    return lab.run(*ping, inside=lab.guest, check=False).returncode == 0


def mend(lab: Lab, check: str) -> None:
    lab.virtkit("net", "doctor", "--mend", check, "-y")


def test_a_sound_bridge_has_no_findings(bridged: Lab) -> None:
    assert reaches(bridged)
    assert found(bridged) == {}


@pytest.mark.parametrize("chain", ["FORWARD", "DOCKER-USER"])
def test_a_firewall_that_drops_what_is_bridged_gets_one_rule(bridged: Lab, chain: str) -> None:
    """Scenario: Docker was installed, and the guests fell silent."""
    bridged.run("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1")
    bridged.run("iptables", "-P", "FORWARD", "DROP")
    if chain == "DOCKER-USER":
        for rule in ("-N DOCKER-USER", "-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -j RETURN"):
            bridged.run("iptables", *rule.split())
    before = bridged.run("iptables", "-S").stdout
    assert not reaches(bridged)
    finding = found(bridged)["bridge_filter"]
    assert (finding["link"], finding["harm"]) == ("br0", "mute")
    mend(bridged, "bridge_filter")
    assert reaches(bridged)
    assert "bridge_filter" not in found(bridged)
    added = set(bridged.run("iptables", "-S").stdout.splitlines()) - set(before.splitlines())
    assert len(added) == 1
    assert added.pop().startswith(f"-A {chain} -i br0 -o br0 ")
    bridged.virtkit("undo", "-y")
    assert bridged.run("iptables", "-S").stdout == before
    assert not reaches(bridged)


def test_a_port_that_the_spanning_tree_keeps_deaf_is_named(bridged: Lab) -> None:
    bridged.ip("link set br0 type bridge forward_delay 1500 stp_state 1")
    bridged.ip("link set tap0 down\nlink set tap0 up")
    finding = found(bridged)["spanning_tree"]
    assert "tap0 is listening" in str(finding["seen"])
    assert "30 s" in str(finding["why"])
    assert not reaches(bridged)
    mend(bridged, "spanning_tree")
    assert reaches(bridged)
    assert found(bridged) == {}
    bridged.virtkit("undo", "-y")
    assert "spanning_tree" in found(bridged)


def test_a_bridge_without_a_mac_of_its_own_is_given_the_one_it_has(lab: Lab) -> None:
    lab.ip("link add br0 type bridge\nlink set br0 up\nlink set eth0 master br0\naddr add 10.5.0.1/24 dev br0")
    assert "addr_assign_type" in str(found(lab)["mac_pin"]["seen"])
    (before,) = lab.json("link", "show", "br0")
    mend(lab, "mac_pin")
    assert "mac_pin" not in found(lab)
    lab.ip("link add tap9 address 02:00:00:00:00:01 type veth peer name nic9\nlink set tap9 master br0 up")
    (after,) = lab.json("link", "show", "br0")
    assert after["address"] == before["address"]


def test_a_tap_with_a_smaller_mtu_than_its_bridge_is_widened(bridged: Lab) -> None:
    bridged.ip("link set tap0 mtu 1400\nlink set br0 mtu 1499\nlink set br0 mtu 1500")
    bridged.ip("link set nic0 mtu 1500", inside=bridged.guest)
    assert not reaches(bridged, size=1450)
    assert "tap0 1400" in str(found(bridged)["mtu"]["seen"])
    mend(bridged, "mtu")
    assert reaches(bridged, size=1450)
    assert "mtu" not in found(bridged)


def test_a_port_that_kept_its_address_gives_it_to_the_bridge(lab: Lab) -> None:
    """The classic: brctl addif, and everything else forgotten."""
    lab.ip(f"link add br0 address {HOST_MAC} type bridge stp_state 0\nlink set br0 up\nlink set eth0 master br0")
    assert "10.9.0.11/24" in str(found(lab)["port_address"]["seen"])
    mend(lab, "port_address")
    assert "port_address" not in found(lab)
    assert HOST4 in {entry["local"] for entry in lab.json("addr", "show", "br0")[0]["addr_info"]}
    assert lab.run("ping", "-c", "2", "-W", "1", GATEWAY4).returncode == 0


def test_a_second_address_of_the_bridges_network_on_a_port_is_to_be_taken_away(bridged: Lab) -> None:
    bridged.ip("addr add 10.9.0.55/24 dev eth0")
    finding = found(bridged)["port_address"]
    assert (finding["mend"], "ip address del 10.9.0.55/24 dev eth0" in str(finding["advice"])) == ([], True)


def test_a_renamed_card_is_found_by_its_mac_and_put_back(bridged: Lab) -> None:
    bridged.ip("link set eth0 nomaster\nlink set eth0 down\nlink set eth0 name enp7s0\nlink set enp7s0 up")
    assert not reaches(bridged)
    assert "enp7s0" in str(found(bridged)["lonely_bridge"]["seen"])
    mend(bridged, "lonely_bridge")
    assert reaches(bridged)


def test_a_card_that_is_down_is_set_up(bridged: Lab) -> None:
    bridged.ip("link set eth0 down")
    assert "is down" in str(found(bridged)["lonely_bridge"]["seen"])
    mend(bridged, "lonely_bridge")
    assert reaches(bridged)


def test_strict_reverse_path_filtering_with_two_links_in_one_network_is_loosened(bridged: Lab) -> None:
    bridged.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.br0.rp_filter=1")
    bridged.ip(
        "link add eth1 type veth peer name lan1\nlink set eth1 up\nlink set lan1 up\naddr add 10.9.0.12/24 dev eth1"
    )
    assert "10.9.0.0/24" in str(found(bridged)["reverse_path"]["seen"])
    mend(bridged, "reverse_path")
    assert "reverse_path" not in found(bridged)
    assert bridged.run("sysctl", "-n", "net.ipv4.conf.br0.rp_filter").stdout.strip() == "2"


def test_a_nat_network_without_forwarding_is_told_to_forward(lab: Lab) -> None:
    lab.ip(
        "link add virbr0 address 52:54:00:00:00:99 type bridge\nlink set virbr0 up\n"
        "addr add 192.168.122.1/24 dev virbr0\n"
        "link add tap1 type veth peer name nic1\nlink set tap1 master virbr0 up"
    )
    lab.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
    assert found(lab)["forwarding"]["link"] == "virbr0"
    mend(lab, "forwarding")
    assert lab.run("sysctl", "-n", "net.ipv4.ip_forward").stdout.strip() == "1"
    lab.virtkit("undo", "-y")
    assert lab.run("sysctl", "-n", "net.ipv4.ip_forward").stdout.strip() == "0"
