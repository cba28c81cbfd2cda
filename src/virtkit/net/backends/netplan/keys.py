"""Which settings of a netplan definition belong to layer 3, and so to the bridge (netplan-yaml(5))."""

from __future__ import annotations

LAYER3 = frozenset({
    "accept-ra",
    "addresses",
    "critical",
    "dhcp-identifier",
    "dhcp4",
    "dhcp4-overrides",
    "dhcp6",
    "dhcp6-overrides",
    "gateway4",
    "gateway6",
    "ignore-carrier",
    "ipv6-address-generation",
    "ipv6-address-token",
    "ipv6-mtu",
    "ipv6-privacy",
    "link-local",
    "nameservers",
    "optional-addresses",
    "ra-overrides",
    "routes",
    "routing-policy",
})  # fmt: skip
BOTH = frozenset({"activation-mode", "optional"})  # whether and when the boot brings it up, and waits for it
NOTHING = {"dhcp4": "false", "dhcp6": "false", "accept-ra": "false", "link-local": "[]"}  # of layer 3, for a port
PINNED = frozenset({"ipv4.route-metric", "ipv6.route-metric"})  # what a bridge has so that it is as its port was
BRIDGE = frozenset({"interfaces", "macaddress", "mtu", "parameters", "renderer"})  # what makes a bridge a bridge
SECTIONS = frozenset({
    "bonds",
    "bridges",
    "dummy-devices",
    "ethernets",
    "modems",
    "nm-devices",
    "tunnels",
    "virtual-ethernets",
    "vlans",
    "vrfs",
    "wifis",
})  # fmt: skip
PHYSICAL = frozenset({"ethernets", "modems", "wifis"})  # may be matched by something else than their name
PORTS = frozenset({"bonds", "dummy-devices", "ethernets", "tunnels", "virtual-ethernets", "vlans"})


def true(text: str) -> bool:
    """As netplan reads a boolean (handle_netdef_bool in parse.c)."""
    return text.lower() in {"true", "on", "yes", "y"}


def false(text: str) -> bool:
    return text.lower() in {"false", "off", "no", "n"}
