"""Messages as the kernel sends them, to build pictures of a network without one."""

from __future__ import annotations

import socket
from ipaddress import ip_interface, ip_network

from virtkit.net import decode
from virtkit.net.model import IPV4, IPV6, Address, Link, Neighbour, Network, Route
from virtkit.net.standing import Standing, read
from virtkit.net.wire import (
    AddressHeader,
    Attribute,
    Attributes,
    RouteHeader,
    text_attribute,
    u8_attribute,
    u32_attribute,
)

PORT, BRIDGE = 2, 3
NAMES = {PORT: "eth0", BRIDGE: "br0"}


def address(text: str, index: int = PORT, *, label: str = "", flags: int = 0, protocol: int = 0) -> Address:
    interface = ip_interface(text)
    family = IPV4 if interface.version == 4 else IPV6
    start = AddressHeader(family, interface.network.prefixlen, flags & 0xFF, 0, index)
    attributes = [Attribute(decode.IFA_ADDRESS, interface.ip.packed), u32_attribute(decode.IFA_FLAGS, flags)]
    if family == IPV4:
        attributes += [
            Attribute(decode.IFA_LOCAL, interface.ip.packed),
            text_attribute(decode.IFA_LABEL, label or NAMES[index]),
        ]
    if protocol:
        attributes.append(u8_attribute(decode.IFA_PROTOCOL, protocol))
    return decode.address(start.pack() + Attributes(attributes).pack())


def route(
    destination: str, index: int = PORT, *, via: str = "", metric: int = 0, protocol: int = 3, extra: bytes = b""
) -> Route:
    family = IPV6 if ":" in destination + via else IPV4
    network = None if destination == "default" else ip_network(destination)
    start = RouteHeader(family, network.prefixlen if network else 0, table=254, protocol=protocol, type=1)
    attributes = [u32_attribute(decode.RTA_OIF, index), u32_attribute(decode.RTA_TABLE, 254)]
    if network:
        attributes.append(Attribute(decode.RTA_DST, network.network_address.packed))
    if via:
        attributes.append(Attribute(decode.RTA_GATEWAY, socket.inet_pton(family, via)))
    if metric:
        attributes.append(u32_attribute(decode.RTA_PRIORITY, metric))
    return decode.route(start.pack() + Attributes(attributes).pack() + extra)


def link(index: int, *, master: int = 0) -> Link:
    kind = "bridge" if index == BRIDGE else ""
    return Link(index, NAMES[index], "52:54:00:aa:00:11", 1500, 1, 1, 6, master, kind, 0, False, "")  # noqa: FBT003  the dump's order


def network(addresses: tuple[Address, ...] = (), routes: tuple[Route, ...] = (), *, joined: bool = False) -> Network:
    links = (link(PORT, master=BRIDGE if joined else 0), link(BRIDGE))
    neighbour = Neighbour(PORT, IPV4, bytes([10, 9, 0, 1]), b"\x02\0\0\0\0\1", permanent=False, flags=0)
    return Network(links, addresses, routes, (), (neighbour,))


def standing(shown: Network) -> Standing:
    return read(shown, "eth0", "br0")
