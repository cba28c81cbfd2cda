"""Why a link cannot become the port of a bridge. Each reason is said with what to do instead."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotFoundError, NotSupportedError, UsageError
from virtkit.net import replay, rootfs
from virtkit.net.model import ETHERNET, LOOPBACK, NAME_SIZE

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.net.model import Link, Network

WITHOUT_BRIDGE = "a NAT network (virsh net-start default), a routed network of libvirt, or a cable for the bridge"
MOST_ROUTES = 2000  # a host with more of them is a router, whose routing daemon would answer every move


def check_name(name: str) -> None:
    """UsageError for what the kernel takes for no name of a link (dev_valid_name in net/core/dev.c)."""
    if len(name.encode()) > NAME_SIZE:
        raise UsageError(f"{name}: name has {len(name.encode())} bytes, expected at most {NAME_SIZE}")
    if not name or name in {".", ".."} or re.search(r"[/:\s%]", name) or not name.isprintable():
        raise UsageError(f"name of a bridge is {name!r}, expected letters, digits, - or _, as in br0")


def port_link(network: Network, name: str) -> Link:
    link = network.by_name.get(name)
    if link is None:
        known = ", ".join(found.name for found in network.links)
        raise NotFoundError(f"{name}: no such link (there are {known})", hint="virtkit net show")
    return link


def check_port(system: System, network: Network, link: Link, bridge: str) -> None:
    """BusyError where somebody else has it, NotSupportedError where it cannot be bridged at all."""
    _check_kind(system, link)
    if link.master:
        master = network.by_index[link.master]
        raise BusyError(f"{link.name}: is a port of {master.name} already", hint=f"virtkit net show {master.name}")
    _check_uppers(network, link)
    _check_holdings(network, link, bridge)
    _check_root(system)


def _check_kind(system: System, link: Link) -> None:
    if link.flags & LOOPBACK:
        raise NotSupportedError(f"{link.name}: is the loopback link, expected an Ethernet link")
    if link.kind == "bridge":
        raise NotSupportedError(f"{link.name}: is a bridge itself, and a bridge is no port of another")
    if system.exists(f"/sys/class/net/{link.name}/phy80211"):
        reason = "is Wi-Fi, and an access point drops frames of other MAC addresses than the card's"
        raise NotSupportedError(f"{link.name}: {reason}", hint=WITHOUT_BRIDGE)
    if link.type != ETHERNET or not link.mac:
        raise NotSupportedError(f"{link.name}: type is {link.type}, expected {ETHERNET} (Ethernet)")


def stacked(network: Network, link: Link) -> list[Link]:
    """What stands on the link: VLANs, macvlans ..."""
    return [
        upper
        for upper in network.links
        if upper.lower == link.index and not upper.elsewhere and upper.kind != "veth" and upper.index != link.index
    ]


def _check_uppers(network: Network, link: Link) -> None:
    """A VLAN gets its frames before the bridge does (__netif_receive_skb_core in net/core/dev.c); nothing else does."""
    others = [upper for upper in stacked(network, link) if upper.kind != "vlan"]
    uppers = [f"{upper.name} ({upper.kind or 'unknown kind'})" for upper in others]
    if uppers:
        raise BusyError(f"{link.name}: carries {', '.join(uppers)}, which would lose their frames to the bridge")


def _check_holdings(network: Network, link: Link, bridge: str) -> None:
    """What is tied to the link in a way that does not move."""
    name = link.name
    routes = network.routes_of(link)
    if len(routes) > MOST_ROUTES:
        raise NotSupportedError(f"{name}: has {len(routes)} routes, expected at most {MOST_ROUTES}")
    for rule, after in pairwise(network.rules):
        if (
            rule.names(name)
            and not after.names(name)
            and (rule.family, rule.priority) == (after.family, after.priority)
        ):
            reason = f"{name}: policy rule {rule.line('')} stands before another one of its priority"
            raise NotSupportedError(f"{reason}, and would stand behind it", hint="ip rule: give each its own priority")
    for address in network.addresses_of(link):
        if not replay.label_fits(address, name, bridge):
            raise UsageError(f"{bridge}: label of {address.text} would be too long, expected {NAME_SIZE} bytes at most")


def _check_root(system: System) -> None:
    if found := rootfs.over_network(system):
        raise NotSupportedError(f"/: {found}: a fault in between would take the host with it")
