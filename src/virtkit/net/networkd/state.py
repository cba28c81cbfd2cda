"""What systemd-networkd says of its links, from the files that it keeps for other programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.core.errors import NotFoundError

if TYPE_CHECKING:
    from virtkit.core.system import System

LINKS = "/run/systemd/netif/links"
LEASES = "/run/systemd/netif/leases"
PROGRAMS = ("/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd")
CLIENT_WITH_IAID = "ff"  # RFC 4361: type 255, the IAID in 4 bytes, the DUID
COMMAND = "systemd-network"  # as the kernel shows it: 15 bytes
UNMANAGED = {"", "pending", "initialized", "unmanaged", "linger"}  # states (ADMIN_STATE) of a link that it leaves alone


def of(system: System, link: str) -> dict[str, str]:
    """``ADMIN_STATE``, ``NETWORK_FILE`` ...; empty for a link that it does not know, or when it never ran."""
    return _assignments(system, LINKS, link)


def lease(system: System, link: str) -> dict[str, str]:
    """``ADDRESS``, ``CLIENTID`` ... of the DHCP client's; empty: none."""
    return _assignments(system, LEASES, link)


def iaid(system: System, link: str) -> int | None:
    """By which a DHCP server knows the host: by default made from the link's name, and a bridge has another.

    None: no client with an IAID runs on the link.
    """
    client = lease(system, link).get("CLIENTID", "")
    if client.startswith(CLIENT_WITH_IAID):
        return int(client[2:10], 16)
    other = of(system, link).get("DHCP6_CLIENT_IAID", "")
    return int(other, 16) if other else None


def network_file(system: System, link: str) -> str:
    """The file that it configures the link by; empty: it leaves the link alone."""
    found = of(system, link)
    return "" if found.get("ADMIN_STATE", "") in UNMANAGED else found.get("NETWORK_FILE", "")


def said_at(system: System, link: str) -> int:
    """When it last wrote down what it says of the link, in ns since the epoch; 0: never."""
    path = system.path(f"{LINKS}/{_index(system, link)}")
    return path.stat().st_mtime_ns if path.is_file() else 0


def changed_since(system: System, link: str, path: str) -> bool:
    """Whether a file is younger than what networkd last said of the link: it has not read it."""
    said, file = said_at(system, link), system.path(path)
    return bool(said) and file.exists() and file.stat().st_mtime_ns > said


def program(system: System) -> str:
    for path in PROGRAMS:
        if system.exists(path):
            return path
    raise NotFoundError("systemd-networkd: not installed")


def running(system: System) -> bool:
    """In this network namespace: containers have their own."""
    here = os.stat("/proc/self/ns/net").st_ino
    return any(
        system.read_or(f"/proc/{pid}/comm", "") == COMMAND and _namespace(pid) == here
        for pid in filter(str.isdecimal, system.names("/proc"))
    )


def _namespace(pid: str) -> int:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:  # gone meanwhile
        return 0


def _assignments(system: System, folder: str, link: str) -> dict[str, str]:
    index = _index(system, link)
    lines = system.read_or(f"{folder}/{index}", "").splitlines() if index else []
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def _index(system: System, link: str) -> str:
    """Empty: no such link."""
    return system.read_or(f"/sys/class/net/{link}/ifindex", "")
