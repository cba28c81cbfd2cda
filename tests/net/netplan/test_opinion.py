"""The second opinion notices what a netplan that renders something else would do to the host."""

from __future__ import annotations

from dataclasses import replace

import pytest

from net.netplan.samples import MAC, wish
from virtkit.net.backends.netplan import opinion
from virtkit.net.backends.netplan.rendering import NETWORKD, PROFILES

BEFORE = {
    f"{NETWORKD}/10-netplan-eth0.network": (
        "[Match]\nName=eth0\n\n[Network]\nLinkLocalAddressing=ipv6\nAddress=10.9.0.11/24\n\n"
        "[Route]\nDestination=0.0.0.0/0\nGateway=10.9.0.1\n"
    ),
    f"{NETWORKD}/10-netplan-eth1.network": "[Match]\nName=eth1\n\n[Network]\nDHCP=ipv4\n",
}
AFTER = {
    f"{NETWORKD}/10-netplan-eth0.network": (
        "[Match]\nName=eth0\n\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nBridge=br0\n"
    ),
    f"{NETWORKD}/10-netplan-eth1.network": "[Match]\nName=eth1\n\n[Network]\nDHCP=ipv4\n",
    f"{NETWORKD}/10-netplan-br0.netdev": f"[NetDev]\nName=br0\nMACAddress={MAC}\nKind=bridge\n\n[Bridge]\nSTP=false\n",
    f"{NETWORKD}/10-netplan-br0.network": (
        "[Match]\nName=br0\n\n[Network]\nLinkLocalAddressing=ipv6\nAddress=10.9.0.11/24\nConfigureWithoutCarrier=yes\n\n"
        "[Route]\nDestination=0.0.0.0/0\nGateway=10.9.0.1\n"
    ),
}
PROFILE = f"{PROFILES}/netplan-eth0.nmconnection"
BRIDGE = f"{PROFILES}/netplan-br0.nmconnection"
BEFORE_NM = {PROFILE: "[connection]\nid=netplan-eth0\n\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=ignore\n"}
AFTER_NM = {
    PROFILE: (
        "[connection]\nid=netplan-eth0\nslave-type=bridge\nmaster=br0\n\n"
        "[ipv4]\nmethod=link-local\n\n[ipv6]\nmethod=ignore\n"
    ),
    BRIDGE: (
        "[connection]\nid=netplan-br0\ntype=bridge\n\n[bridge]\nstp=false\n\n"
        f"[ethernet]\ncloned-mac-address={MAC}\n\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=ignore\n"
    ),
}


def test_says_nothing_of_what_is_as_wished() -> None:
    assert opinion.bridged(BEFORE, AFTER, wish(), "eth0") == []
    assert opinion.bridged(BEFORE_NM, AFTER_NM, wish(), "eth0") == []


def test_spanning_tree_is_seen_where_it_was_asked_for() -> None:
    asked = replace(wish(), forward_delay=2)
    for before, after, key in ((BEFORE, AFTER, "STP"), (BEFORE_NM, AFTER_NM, "stp")):
        (said,) = opinion.bridged(before, after, asked, "eth0")
        assert said == f"br0 is no bridge with the MAC address {MAC} and {key}=true"
        with_stp = {path: text.replace(f"{key}=false", f"{key}=true") for path, text in after.items()}
        assert opinion.bridged(before, with_stp, asked, "eth0") == []


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("br0.netdev", "STP=false", "STP=true", "br0 is no bridge with the MAC address"),
        ("br0.netdev", MAC, "52:54:00:00:00:01", "br0 is no bridge with the MAC address"),
        ("eth0.network", "Bridge=br0", "", "eth0 is no port of br0"),
        ("eth0.network", "IPv6AcceptRA=no", "DHCP=ipv4", "eth0 keeps DHCP=ipv4"),
        (
            "br0.network",
            "Gateway=10.9.0.1",
            "Gateway=10.9.0.2",
            "br0 lacks [Route] Destination=0.0.0.0/0",
        ),
        ("br0.network", "[Route]", "DNS=1.1.1.1\n\n[Route]", "which its port did not have"),
        ("eth1.network", "DHCP=ipv4", "DHCP=no", "10-netplan-eth1.network changes too"),
    ],
)
def test_says_what_networkd_would_do_otherwise(name: str, old: str, new: str, said: str) -> None:
    path = f"{NETWORKD}/10-netplan-{name}"
    changed = {**AFTER, path: AFTER[path].replace(old, new)}
    assert said in "\n".join(opinion.bridged(BEFORE, changed, wish(), "eth0"))


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        (BRIDGE, "stp=false", "stp=true", "br0 is no bridge with the MAC address"),
        (BRIDGE, "method=auto", "method=disabled", "br0 lacks [ipv4] method=auto"),
        (PROFILE, "master=br0", "", "eth0 is no port of br0"),
        (PROFILE, "method=link-local", "method=auto", "eth0 keeps method=auto"),
    ],
)
def test_says_what_networkmanager_would_do_otherwise(path: str, old: str, new: str, said: str) -> None:
    changed = {**AFTER_NM, path: AFTER_NM[path].replace(old, new)}
    assert said in "\n".join(opinion.bridged(BEFORE_NM, changed, wish(), "eth0"))


@pytest.mark.parametrize(
    ("name", "match", "taken"),
    [
        ("10-netplan-a.network", f"MACAddress={MAC}", True),
        ("10-netplan-z.network", f"MACAddress={MAC}", False),  # br0's own file comes first
        ("10-netplan-z.link", f"MACAddress={MAC}", True),
        ("10-netplan-a.link", f"MACAddress={MAC}\nType=!vlan bond bridge", False),  # netplan 0.104
        ("10-netplan-a.network", f"PermanentMACAddress={MAC}", False),  # netplan 0.105 and later
    ],
)
def test_bridge_is_not_taken_for_its_port_by_the_mac_address(name: str, match: str, *, taken: bool) -> None:
    extra = {f"{NETWORKD}/{name}": f"[Match]\n{match}\n\n[Link]\nWakeOnLan=off\n"}
    said = opinion.bridged({**BEFORE, **extra}, {**AFTER, **extra}, wish(), "eth0")
    assert ["would take br0 for its port" in line for line in said] == ([True] if taken else [])
