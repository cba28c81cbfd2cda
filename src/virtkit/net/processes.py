"""Who on this host holds a socket, and who changed the network."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from virtkit.core.errors import SystemCallError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from virtkit.core.system import System

ROUTE = "0"  # NETLINK_ROUTE in /proc/net/netlink
# What changes links by itself. A program of another network namespace is not meant.
DAEMONS = frozenset(
    {"NetworkManager", "systemd-network", "dhclient", "dhcpcd", "udhcpc", "connmand", "wickedd", "netifd", "netplan"}
)  # as /proc/*/comm shows them, cut at 15 characters


def holding(system: System, inodes: set[str]) -> Iterator[tuple[str, str]]:
    """The sockets of ``inodes`` that processes have open: inode, and ``dhclient (pid 812, networking.service)``."""
    if not inodes:
        return
    for pid in filter(str.isdecimal, system.names("/proc")):
        for inode in inodes & _sockets(system, pid):
            yield inode, _spoken(system, pid)


def of_netlink_port(system: System, port: int) -> str:
    """Who has the netlink socket of this port number; empty: it is closed, or is nobody's."""
    for line in system.read_or("/proc/thread-self/net/netlink", "").splitlines()[1:]:
        words = line.split()
        if words[1] == ROUTE and words[2] == str(port) and port:
            return next((process for _, process in holding(system, {words[-1]})), "")
    return ""


def daemons(system: System) -> list[str]:
    """Those of this network namespace that may have changed it."""
    return [_spoken(system, str(pid)) for pid, _ in running(system, DAEMONS)]


def running(system: System, programs: Collection[str]) -> Iterator[tuple[int, str]]:
    """Processes of these programs in this network namespace: containers have links and daemons of the same names."""
    here = _target(system, "/proc/thread-self/ns/net")
    for pid in filter(str.isdecimal, system.names("/proc")):
        program = system.read_or(f"/proc/{pid}/comm", "")
        if program in programs and _target(system, f"/proc/{pid}/ns/net") == here:
            yield int(pid), program


def _spoken(system: System, pid: str) -> str:
    known = ", ".join(filter(None, [f"pid {pid}", _unit(system, pid)]))
    return f"{system.read_or(f'/proc/{pid}/comm', 'a process')} ({known})"


def _unit(system: System, pid: str) -> str:
    """systemd's, by the control group (cgroups(7)); empty: it is of none."""
    found = re.search(r"/([^/\n]+\.(?:service|socket))$", system.read_or(f"/proc/{pid}/cgroup", ""), re.MULTILINE)
    return found[1] if found else ""


def _sockets(system: System, pid: str) -> set[str]:
    """Inodes of those that the process has open; none where it is gone, or is not ours to look at."""
    targets = [_target(system, f"/proc/{pid}/fd/{fd}") for fd in _open_files(system, pid)]
    return {target[len("socket:[") : -1] for target in targets if target.startswith("socket:[")}


def _open_files(system: System, pid: str) -> list[str]:
    try:
        return system.names(f"/proc/{pid}/fd")
    except SystemCallError:
        return []


def _target(system: System, link: str) -> str:
    try:
        return os.readlink(system.path(link))
    except OSError:
        return ""
