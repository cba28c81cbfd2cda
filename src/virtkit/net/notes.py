"""What the reader of a plan should know before saying yes."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from virtkit.net.model import FOREVER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.net.model import Link, Network
    from virtkit.net.standing import Side

UNTIL_REBOOT = "lasts until the next reboot: the configuration files of this host are not changed"
DHCP_CLIENT_PORT = 68  # UDP
SETTINGS = (
    "accept_ra",
    "arp_ignore",
    "arp_announce",
    "autoconf",
    "disable_ipv6",
    "forwarding",
    "proxy_arp",
    "rp_filter",
)


def about_move(system: System, network: Network, side: Side, target: str) -> Iterator[str]:
    """``side`` is what gives its addresses and routes to the link ``target``."""
    if side.addresses:
        yield f"moves from {side.name} to {target}: {', '.join(address.text for address in side.addresses)}"
    if side.routes:
        yield f"routes that move: {', '.join(route.text for route in side.routes)}"
    if any(route.destination == "default" for route in side.routes):
        yield f"the default route goes over {side.name}; it moves in the same instant, and connections stay"
    yield from _session(system, network, side)
    yield from _leases(side)
    yield from _listeners(system, network.by_name[side.name])
    yield from _settings(system, side.name, target)


def _session(system: System, network: Network, side: Side) -> Iterator[str]:
    session = ssh_session(system)
    if session is None:
        return
    client, server = session
    if any(address.local == server for address in side.addresses):
        yield f"your SSH session from {client} goes over {side.name}; it stays connected"
    elif any(address.local == server for address in network.addresses):
        yield f"your SSH session from {client} does not go over {side.name}"


def ssh_session(system: System) -> tuple[str, str] | None:
    """The client's and the server's address of the session this process belongs to.

    sudo drops SSH_CONNECTION, so the processes above are asked too.
    """
    pid = os.getpid()
    while pid > 1:
        environment = system.read_or(f"/proc/{pid}/environ", "")
        found = re.search(r"(?:^|\0)SSH_CONNECTION=(\S+) \d+ (\S+) \d+", environment)
        if found:
            return found[1], found[2]
        parent = re.search(r"^PPid:\s*(\d+)", system.read_or(f"/proc/{pid}/status", ""), re.MULTILINE)
        pid = int(parent[1]) if parent else 0
    return None


def _leases(side: Side) -> Iterator[str]:
    for address in side.addresses:
        if address.valid != FOREVER and not address.drifts:
            yield f"{address.text} is a lease that ends in {address.valid} s unless a DHCP client renews it"


def _listeners(system: System, link: Link) -> Iterator[str]:
    """Who reads the link's frames by itself (DHCP clients, sniffers): sockets do not move."""
    sockets = {}
    for line in system.read_or("/proc/net/packet", "").splitlines()[1:]:
        words = line.split()
        if int(words[4]) == link.index:
            sockets[words[8]] = "reads frames of"
    for line in system.read_or("/proc/net/udp", "").splitlines()[1:]:
        words = line.split()
        if int(words[1].partition(":")[2], 16) == DHCP_CLIENT_PORT:
            sockets[words[9]] = "is a DHCP client, perhaps of"
    for inode, process in _owners(system, set(sockets)):
        yield f"{process} {sockets[inode]} {link.name}; it does not move with the addresses: restart it on the new link"


def _owners(system: System, inodes: set[str]) -> Iterator[tuple[str, str]]:
    if not inodes:
        return
    for pid in filter(str.isdecimal, system.names("/proc")):
        for inode in inodes & _sockets(system, pid):
            name = system.read_or(f"/proc/{pid}/comm", "a process")
            yield inode, f"{name} (pid {pid})"


def _sockets(system: System, pid: str) -> set[str]:
    found = set()
    try:
        for fd in os.scandir(system.path(f"/proc/{pid}/fd")):
            target = os.readlink(fd.path)
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
    except OSError:  # the process is gone, or is not ours to look at
        return found
    return found


def _settings(system: System, name: str, target: str) -> Iterator[str]:
    """The kernel's settings per link start from the default for a new link."""
    for family in ("ipv4", "ipv6"):
        own, default = (f"/proc/sys/net/{family}/conf/{which}" for which in (name, "default"))
        for key in SETTINGS:
            value, new = system.read_or(f"{own}/{key}", ""), system.read_or(f"{default}/{key}", "")
            if value != new:
                yield f"net.{family}.conf.{name}.{key} is {value} and does not move: {target} has {new}"
