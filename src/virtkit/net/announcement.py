"""Tells the neighbours where addresses are after a move: gratuitous ARP and unsolicited neighbour advertisements.

Always, although a bridge has its port's MAC and nothing is new to them then: it is one frame for each address, and it
mends a switch or a neighbour that has learned otherwise meanwhile.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from virtkit.net.frames import Frames
from virtkit.net.model import IPV4, IPV6, LOWER_UP
from virtkit.net.packets import arp, ethernet, ndp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.net.model import Link, Network


def send(system: System, network: Network, names: tuple[str, ...]) -> None:
    """For the addresses of these links. What cannot be sent is left out: neighbours ask when they need to know."""
    for link in (network.by_name[name] for name in names if name in network.by_name):
        if link.up and link.flags & LOWER_UP:
            for kind, frame in frames(system, network, link):
                _send(link, kind, frame)


def frames(system: System, network: Network, link: Link) -> Iterator[tuple[int, bytes]]:
    """Each with its EtherType. An address under detection of duplicates is not announced (RFC 4862, 5.4)."""
    mac = bytes.fromhex(link.mac.replace(":", ""))
    router = system.read_or(f"/proc/sys/net/ipv6/conf/{link.name}/forwarding", "0") != "0"
    for address in network.addresses_of(link):
        if address.family == IPV4:
            yield ethernet.ARP, arp.announcement(mac, socket.inet_pton(IPV4, address.local))
        elif address.family == IPV6 and not address.tentative:
            yield ethernet.IPV6, ndp.advertisement(mac, socket.inet_pton(IPV6, address.local), router=router)


def _send(link: Link, kind: int, frame: bytes) -> None:
    try:
        with Frames(link.name, kind) as out:
            out.send(frame)
    except OSError:  # the link went down in this moment; see send()
        return
