"""Multicast groups that somebody joined on the link. The kernel does not tell who; what a group is for does, often."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, NamedTuple

from virtkit.net import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.net.model import Link


class Use(NamedTuple):
    name: str
    table: str  # of /proc/net, where its sockets are
    number: int  # of the UDP port, or of the IP protocol in raw


# Groups that the kernel joins by itself: all hosts, all routers, solicited nodes; a bridge's all snoopers (RFC 4286).
KERNELS = re.compile(r"224\.0\.0\.(1|106)|ff02::6a|ff0[15]?[12]?::[12]|ff0[12]::[12]|ff05::2|ff02::1:ff[0-9a-f:]+")
USES = {
    **dict.fromkeys(("224.0.0.251", "ff02::fb"), Use("mDNS", "udp", 5353)),
    **dict.fromkeys(("224.0.0.252", "ff02::1:3"), Use("LLMNR", "udp", 5355)),
    **dict.fromkeys(("239.255.255.250", "ff02::c", "ff05::c"), Use("SSDP", "udp", 1900)),
    **dict.fromkeys(("224.0.1.129", "224.0.0.107"), Use("PTP", "udp", 319)),
    **dict.fromkeys(("224.0.0.18", "ff02::12"), Use("VRRP", "raw", 112)),
    **dict.fromkeys(("224.0.0.5", "224.0.0.6", "ff02::5", "ff02::6"), Use("OSPF", "raw", 89)),
    **dict.fromkeys(("224.0.0.9", "ff02::9"), Use("RIP", "udp", 520)),
    **dict.fromkeys(("224.0.0.13", "ff02::d"), Use("PIM", "raw", 103)),
}


def found(system: System, link: Link) -> Iterator[str]:
    for group in [*_ipv4(system, link.name), *_ipv6(system, link.name)]:
        if KERNELS.fullmatch(group):
            continue
        use = USES.get(group)
        named = f"{group} ({use.name})" if use else group
        by = ", ".join(_members(system, use)) if use else ""
        who = by or "a program that the kernel does not name"
        yield f"multicast group {named} was joined on {link.name} by {who}; joins do not move: restart it"


def _members(system: System, use: Use) -> list[str]:
    inodes = set()
    for suffix in ("", "6"):
        for line in system.read_or(f"/proc/net/{use.table}{suffix}", "").splitlines()[1:]:
            words = line.split()
            if int(words[1].partition(":")[2], 16) == use.number:
                inodes.add(words[9])
    return sorted({process for _, process in processes.holding(system, inodes)})


def _ipv4(system: System, name: str) -> Iterator[str]:
    """A line per link, and below it one per group: its bytes as a number of this host."""
    here = False
    for line in system.read_or("/proc/net/igmp", "").splitlines()[1:]:
        words = line.split()
        if words[0].isdecimal() and len(words) > 2 and words[2] == ":":  # noqa: PLR2004  the device's columns
            here = words[1] == name
        elif here:
            yield str(IPv4Address(bytes.fromhex(words[0])[::-1]))


def _ipv6(system: System, name: str) -> Iterator[str]:
    for line in system.read_or("/proc/net/igmp6", "").splitlines():
        words = line.split()
        if words[1] == name:
            yield str(IPv6Address(bytes.fromhex(words[2])))
