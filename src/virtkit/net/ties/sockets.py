"""Sockets that hear one link alone: packet sockets, sockets bound to the link, DHCP clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NetworkError
from virtkit.net import processes
from virtkit.net.kernel import Connections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.net.model import Link

DHCP_CLIENT_PORT = 68  # UDP
REMEDY = "it does not move with the addresses: restart it on the new link"


def found(system: System, link: Link) -> Iterator[str]:
    sockets = {
        **_bound(link),
        **_dhcp_clients(system),
        **_readers(system, link),
    }
    for inode, process in processes.holding(system, set(sockets)):
        yield f"{process} {sockets[inode]} {link.name}; {REMEDY}"


def _readers(system: System, link: Link) -> dict[str, str]:
    """Of each frame, before any bridge takes it; packet(7)."""
    lines = [line.split() for line in system.read_or("/proc/net/packet", "").splitlines()[1:]]
    return {words[8]: "reads frames of" for words in lines if int(words[4]) == link.index}


def _dhcp_clients(system: System) -> dict[str, str]:
    lines = [line.split() for line in system.read_or("/proc/net/udp", "").splitlines()[1:]]
    ports = {words[9]: int(words[1].partition(":")[2], 16) for words in lines}
    return {inode: "is a DHCP client, perhaps of" for inode, port in ports.items() if port == DHCP_CLIENT_PORT}


def _bound(link: Link) -> dict[str, str]:
    """SO_BINDTODEVICE, socket(7): what comes in over the bridge is not for them."""
    try:
        with Connections() as connections:
            return dict.fromkeys(connections.bound_to(link.index), "has a socket bound to")
    except NetworkError:  # a kernel without inet_diag
        return {}
