"""A machine's IP addresses: from its agent, from libvirt's DHCP leases, or from the host's neighbour table."""

from __future__ import annotations

import ipaddress
import json
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import VirtkitError
from virtkit.vm.agent import Agent

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.core.system import System
    from virtkit.vm.domain import Domain
    from virtkit.vm.machine import Machine

AGENT, LEASE, ARP = "agent", "lease", "arp"
PRIME_LARGEST = 256  # addresses; the kernel keeps 128 to 1024 neighbours (net.ipv4.neigh.default.gc_thresh1 to 3)
_DISCARD = 9  # UDP port, RFC 863: the packet does not matter, the ARP question that it causes does
_ANSWER_SECONDS = 1.0


class Address(NamedTuple):
    mac: str
    address: str
    prefix: int  # bits; of ARP, which does not say, the whole address
    source: str  # agent, lease or arp: who says so


def addresses(machine: Machine, system: System, *, prime: bool = True) -> list[Address]:
    """From the first source that knows any; loopback and link-local addresses are left out. None while it is off.

    ``prime``: have the host ask for every address of a bridge's network, so that the neighbour table knows.
    """
    if not machine.active:
        return []
    domain = machine.now()
    macs = {nic.mac.lower() for nic in domain.nics}
    if domain.agent_connected and (found := _listed(Agent(machine).interfaces, AGENT, macs)):
        return found
    if found := _listed(machine.leases, LEASE, macs):
        return found
    if found := _from_neighbours(system, macs):
        return found
    if not (prime and _knock(system, _bridges(domain))):
        return []
    time.sleep(_ANSWER_SECONDS)
    return _from_neighbours(system, macs)


def _listed(ask: Callable[[], list[tuple[str, str, int]]], source: str, macs: set[str]) -> list[Address]:
    """Nothing where the source cannot say: the next one is asked."""
    try:
        answer = ask()
    except VirtkitError:
        return []
    mine = [Address(mac.lower(), address, prefix, source) for mac, address, prefix in answer if mac.lower() in macs]
    return [entry for entry in mine if _worth_showing(entry.address)]


def _worth_showing(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # an agent may say anything
        return False
    return not (parsed.is_loopback or parsed.is_link_local)


def _from_neighbours(system: System, macs: set[str]) -> list[Address]:
    """/proc/net/arp, proc(5): address, type, flags, MAC, mask, device; flags 0x0 is a question without an answer."""
    rows = [line.split() for line in system.read_or("/proc/net/arp", "").splitlines()[1:]]
    whole = [row for row in rows if len(row) == 6 and row[2] != "0x0"]  # noqa: PLR2004  columns
    return [Address(row[3].lower(), row[0], 32, ARP) for row in whole if row[3].lower() in macs]


def _bridges(domain: Domain) -> list[str]:
    return [nic.bridge or nic.source for nic in domain.nics if nic.type in ("bridge", "network")]


def _knock(system: System, bridges: list[str]) -> bool:
    """Send a datagram to each address of the bridges' IPv4 networks; whether there was any."""
    hosts = [host for bridge in bridges for network in _networks(system, bridge) for host in network.hosts()]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.settimeout(0)
        for host in hosts:
            with suppress(OSError):  # no route, no buffer: this neighbour is found the next time or not at all
                sender.sendto(b"", (str(host), _DISCARD))
    return bool(hosts)


def _networks(system: System, bridge: str) -> list[ipaddress.IPv4Network]:
    shown = system.run(["ip", "-json", "-4", "address", "show", "dev", bridge], check=False).stdout
    entries = [info for link in json.loads(shown or "[]") for info in link.get("addr_info", [])]
    networks = [ipaddress.IPv4Network(f"{info['local']}/{info['prefixlen']}", strict=False) for info in entries]
    return [network for network in networks if network.num_addresses <= PRIME_LARGEST]
