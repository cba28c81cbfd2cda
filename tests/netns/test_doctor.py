"""Guests on a bridge are muted in every way that the field knows; the doctor finds it, mends it, and takes it back."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from netns.lab import GATEWAY4, HOST4, HOST_MAC
from netns.picture import held

if TYPE_CHECKING:
    from netns.lab import Lab

pytestmark = pytest.mark.netns

# What Docker 24 leaves, in short: its own networks are let through, everything else falls to the policy.
DOCKER = """\
-N DOCKER
-N DOCKER-ISOLATION-STAGE-1
-N DOCKER-USER
-P FORWARD DROP
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-USER -j RETURN"""


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
    """The gateway from the guest, within four seconds."""
    return _pinged(lab, size, 4)


def mute(lab: Lab, *, size: int = 56) -> bool:
    return not _pinged(lab, size, 1)


def _pinged(lab: Lab, size: int, seconds: int) -> bool:
    ping = ("ping", "-c", "1", "-i", "0.2", "-w", str(seconds), "-M", "do", "-s", str(size), GATEWAY4)
    return lab.run(*ping, inside=lab.guest, check=False).returncode == 0


def mend(lab: Lab, check: str) -> None:
    lab.virtkit("net", "doctor", "--mend", check, "-y", "--no-confirm")


def undo(lab: Lab) -> None:
    lab.virtkit("undo", "-y")


def test_a_sound_bridge_has_no_findings(bridged: Lab) -> None:
    assert reaches(bridged)
    assert found(bridged) == {}
    told = bridged.virtkit("net", "doctor", "--mend", "bridge-filter", check=False)
    assert (told.returncode, "expected one of: bridge_filter, forwarding" in told.stderr) == (2, True)


@pytest.mark.parametrize(
    ("rules", "place"),
    [
        ("-P FORWARD DROP", "FORWARD"),
        ("-A FORWARD -j REJECT", "FORWARD"),
        (DOCKER, "DOCKER-USER"),
    ],
    ids=["policy", "last rule", "docker"],
)
def test_a_firewall_that_drops_what_is_bridged_gets_one_rule(bridged: Lab, rules: str, place: str) -> None:
    """Scenario: Docker was installed, and the guests fell silent."""
    bridged.run("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1")
    for rule in rules.splitlines():
        bridged.run("iptables", *rule.split())
    before = bridged.run("iptables", "-S").stdout
    assert mute(bridged)
    finding = found(bridged)["bridge_filter"]
    assert (finding["link"], finding["harm"], "as Docker left it" in str(finding["seen"])) == (
        "br0",
        "mute",
        rules == DOCKER,
    )
    mend(bridged, "bridge_filter")
    assert reaches(bridged)
    assert "bridge_filter" not in found(bridged)
    added = set(bridged.run("iptables", "-S").stdout.splitlines()) - set(before.splitlines())
    assert len(added) == 1
    assert added.pop().startswith(f"-A {place} -i br0 -o br0 ")
    undo(bridged)
    assert bridged.run("iptables", "-S").stdout == before
    assert mute(bridged)


def test_a_filter_of_nftables_alone_gets_one_rule_and_one_that_lets_bridges_through_none(bridged: Lab) -> None:
    """Called for this bridge alone: the setting for all is off."""
    bridged.run("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0")
    bridged.ip("link set br0 type bridge nf_call_iptables 1")
    bridged.run("nft", "table inet filter { chain forward { type filter hook forward priority 0; policy drop; }; }")
    before = bridged.run("nft", "list", "ruleset").stdout
    assert mute(bridged)
    assert "nft inet filter forward drops what br0 forwards" in str(found(bridged)["bridge_filter"]["seen"])
    mend(bridged, "bridge_filter")
    assert reaches(bridged)
    assert "bridge_filter" not in found(bridged)
    undo(bridged)
    assert bridged.run("nft", "list", "ruleset").stdout == before
    assert mute(bridged)
    bridged.run("nft", 'add chain inet filter ours; add rule inet filter ours iifname { "br0", "br1" } accept')
    bridged.run("nft", "add rule inet filter forward ct state new jump ours")
    assert "bridge_filter" in found(bridged)
    bridged.run("nft", 'add rule inet filter forward oifname "br*" goto ours')
    assert reaches(bridged)
    assert "bridge_filter" not in found(bridged)


def test_a_port_that_the_spanning_tree_keeps_deaf_is_named(bridged: Lab) -> None:
    bridged.ip("link set br0 type bridge forward_delay 1500 stp_state 1")
    bridged.ip("link set tap0 down\nlink set tap0 up")
    finding = found(bridged)["spanning_tree"]
    assert "tap0 is listening" in str(finding["seen"])
    assert "30 s" in str(finding["why"])
    assert mute(bridged)
    mend(bridged, "spanning_tree")
    assert reaches(bridged)
    assert found(bridged) == {}
    undo(bridged)
    assert "spanning_tree" in found(bridged)


def test_a_spanning_tree_that_hardly_waits_is_well_and_one_between_two_cards_is_left_alone(bridged: Lab) -> None:
    bridged.ip("link set br0 type bridge forward_delay 200 stp_state 1")
    while bridged.json("link", "show", "eth0")[0]["linkinfo"]["info_slave_data"]["state"] != "forwarding":
        time.sleep(0.1)
    assert "spanning_tree" not in found(bridged)
    bridged.ip(
        f"link set br0 type bridge forward_delay 1500\nlink add eth1 address {HOST_MAC} type veth peer name lan1\n"
        "link set eth1 master br0"
    )
    finding = found(bridged)["spanning_tree"]
    assert (finding["mend"], "eth0 and eth1 may lead to one switch" in str(finding["advice"])) == ([], True)
    told = bridged.virtkit("net", "doctor", "--mend", "spanning_tree", "-y", check=False)
    assert (told.returncode, "not by virtkit: spanning_tree" in told.stderr) == (1, True)


def test_a_bridge_without_a_mac_of_its_own_is_given_the_one_it_has(lab: Lab) -> None:
    lab.ip("link add br0 type bridge\nlink set br0 up\nlink set eth0 master br0\naddr add 10.5.0.1/24 dev br0")
    assert "addr_assign_type" in str(found(lab)["mac_pin"]["seen"])
    assert "no way back" in lab.virtkit("net", "doctor", "--mend", "mac_pin", "--plan", check=False).stdout
    (before,) = lab.json("link", "show", "br0")
    mend(lab, "mac_pin")
    assert "mac_pin" not in found(lab)
    lab.ip("link add tap9 address 02:00:00:00:00:01 type veth peer name nic9\nlink set tap9 master br0 up")
    (after,) = lab.json("link", "show", "br0")
    assert after["address"] == before["address"]


def test_a_bridge_without_ports_is_given_one_of_its_own(lab: Lab) -> None:
    lab.ip("link add br0 type bridge\nlink set br0 up\naddr add 10.5.0.1/24 dev br0")
    mend(lab, "mac_pin")
    (after,) = lab.json("link", "show", "br0")
    assert int(after["address"][:2], 16) & 0b11 == 0b10  # unicast, given by software
    assert "mac_pin" not in found(lab)


def test_a_tap_with_a_smaller_mtu_than_its_bridge_is_widened(bridged: Lab) -> None:
    bridged.ip("link set tap0 mtu 1400\nlink set br0 mtu 1499\nlink set br0 mtu 1500")
    bridged.ip("link set nic0 mtu 1500", inside=bridged.guest)
    assert mute(bridged, size=1450)
    assert "tap0 1400" in str(found(bridged)["mtu"]["seen"])
    mend(bridged, "mtu")
    assert reaches(bridged, size=1450)
    assert "mtu" not in found(bridged)
    undo(bridged)
    assert mute(bridged, size=1450)


def test_a_port_that_kept_its_address_gives_it_to_the_bridge(lab: Lab) -> None:
    """The classic: brctl addif, and everything else forgotten."""
    lab.ip(f"link add br0 address {HOST_MAC} type bridge stp_state 0\nlink set br0 up\nlink set eth0 master br0")
    before = held(lab, "eth0")
    assert "10.9.0.11/24" in str(found(lab)["port_address"]["seen"])
    lab.virtkit("net", "doctor", "--mend", "port_address", "-y", "--auto-confirm")
    assert "port_address" not in found(lab)
    assert HOST4 in {entry["local"] for entry in lab.json("addr", "show", "br0")[0]["addr_info"]}
    assert lab.run("ping", "-c", "1", "-w", "3", GATEWAY4).returncode == 0
    undo(lab)
    assert held(lab, "eth0") == before


def test_a_mend_that_moves_addresses_is_put_back_unless_somebody_confirms(lab: Lab) -> None:
    lab.ip(f"link add br0 address {HOST_MAC} type bridge stp_state 0\nlink set br0 up\nlink set eth0 master br0")
    told = lab.virtkit("net", "doctor", "--mend", "-y", "--confirm", "1", check=False)
    assert (told.returncode, "port_address" in found(lab)) == (4, True), told.stderr


def test_a_second_address_of_the_bridges_network_on_a_port_is_to_be_taken_away(bridged: Lab) -> None:
    bridged.ip("addr add 10.9.0.55/24 dev eth0")
    finding = found(bridged)["port_address"]
    assert (finding["mend"], "ip address del 10.9.0.55/24 dev eth0" in str(finding["advice"])) == ([], True)


def test_a_renamed_card_is_found_by_its_mac_and_put_back(bridged: Lab) -> None:
    bridged.ip("link set eth0 nomaster\nlink set eth0 down\nlink set eth0 name enp7s0\nlink set enp7s0 up")
    assert mute(bridged)
    assert "enp7s0" in str(found(bridged)["lonely_bridge"]["seen"])
    mend(bridged, "lonely_bridge")
    assert reaches(bridged)
    undo(bridged)
    assert mute(bridged)
    assert "lonely_bridge" in found(bridged)


def test_a_card_that_is_down_is_set_up(bridged: Lab) -> None:
    bridged.ip("link set eth0 down")
    assert "is down" in str(found(bridged)["lonely_bridge"]["seen"])
    mend(bridged, "lonely_bridge")
    assert reaches(bridged)
    undo(bridged)
    assert "lonely_bridge" in found(bridged)


def test_strict_reverse_path_filtering_with_two_links_in_one_network_is_loosened(bridged: Lab) -> None:
    """What comes in by br0 is dropped, since the way back is eth1."""
    bridged.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.br0.rp_filter=1")
    bridged.ip("link add eth1 type veth peer name lan1\nlink set eth1 up\nlink set lan1 up\n")
    bridged.ip("addr add 10.9.0.12/24 dev eth1\nroute del 10.9.0.0/24 dev br0\n")
    assert "10.9.0.0/24" in str(found(bridged)["reverse_path"]["seen"])
    assert not _heard(bridged)
    mend(bridged, "reverse_path")
    assert "reverse_path" not in found(bridged)
    assert _heard(bridged)
    undo(bridged)
    assert not _heard(bridged)


def _heard(lab: Lab) -> bool:
    """Whether a datagram of the guest's to the bridge's address is taken."""
    with lab.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as receiver:
        receiver.bind((HOST4, 4000))
        receiver.settimeout(0.5)
        where = replace(lab, host=lab.guest)
        with where.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
            sender.sendto(b"?", (HOST4, 4000))
        try:
            return receiver.recv(1) == b"?"
        except TimeoutError:
            return False


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
    undo(lab)
    assert lab.run("sysctl", "-n", "net.ipv4.ip_forward").stdout.strip() == "0"


def test_a_forwarding_host_that_lives_on_advertisements_is_made_to_listen_even_so(lab: Lab) -> None:
    """A daemon that listens in the kernel's place has accept_ra 0: nothing to mend there."""
    lab.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.eth0.accept_ra=1")
    lab.ip("route add default via 2001:db8:9::1 dev eth0 proto ra metric 512")
    assert found(lab)["forwarding"]["harm"] == "will break"
    mend(lab, "forwarding")
    assert "forwarding" not in found(lab)
    undo(lab)
    assert lab.run("sysctl", "-n", "net.ipv6.conf.eth0.accept_ra").stdout.strip() == "1"
    lab.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=0")
    assert "forwarding" not in found(lab)
