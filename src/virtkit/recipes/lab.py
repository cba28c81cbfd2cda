"""A LAN to try things on: a router with DHCP in a network namespace, and its cable to this host.

The host's own links, addresses, routes, forwarding and firewall stay as they are.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Interface, IPv4Network
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import BusyError, CommandError, NotFoundError
from virtkit.core.plan import Plan
from virtkit.recipes.actions import DhcpServer, Namespace, RuntimeDirectory, Veth, shown

if TYPE_CHECKING:
    from virtkit.core.plan import Action
    from virtkit.core.system import System

INSIDE = "lan0"  # the router's link
ROUTERS = ("10.77.0.1/24", "10.78.0.1/24", "172.29.77.1/24", "192.168.177.1/24")  # the first that is free
SHORTEST_ROUTE = 8  # a shorter prefix is a default route in two halves, not somebody's network

_PING_INTERVAL = 0.2  # seconds
_ROUTE = re.compile(r"^(?:[a-z]+ )?(\d+\.\d+\.\d+\.\d+(?:/\d+)?)", re.MULTILINE)
_COUNTS = re.compile(r"(\d+) packets transmitted, (\d+) received")
_AVERAGE = re.compile(r"rtt min/avg/max/mdev = [\d.]+/([\d.]+)/")


class Lab(NamedTuple):
    """Names of one LAN; two LANs on one host need different ones."""

    namespace: str = "virtkit-lan"
    uplink: str = "vkuplink"  # the host's end of the cable; at most 15 characters

    @property
    def directory(self) -> str:
        return f"/run/{self.namespace}"


class Lease(NamedTuple):
    mac: str
    address: str
    hostname: str  # "": the client did not say
    expires: int  # seconds since 1970


class PingResult(NamedTuple):
    sent: int
    received: int
    rtt: float | None  # milliseconds, average; None: no answer


def plan_lab(system: System, lab: Lab | None = None) -> Plan:
    """What is missing of the LAN; empty if it is up.

    BusyError if its names or all of its networks are taken; NotFoundError if ip or dnsmasq is not installed.
    """
    lab = lab or Lab()
    _need_programs(system)
    _refuse_strangers(system, lab)
    address = _address(system, lab)
    wanted: list[Action] = [
        RuntimeDirectory(lab.directory),
        Namespace(lab.namespace),
        Veth(lab.uplink, INSIDE, lab.namespace, address),
        DhcpServer(lab.namespace, INSIDE, address, lab.directory),
    ]
    missing = tuple(action for action in wanted if not action.capture(system))
    return Plan(f"LAN {IPv4Interface(address).network} behind {lab.uplink}", missing)


def router(system: System, lab: Lab | None = None) -> str:
    """The LAN's own address with its prefix length, ``10.77.0.1/24``; NotFoundError if the LAN is not up."""
    lab = lab or Lab()
    found = shown(system, INSIDE, lab.namespace)
    if len(found) < 2:  # noqa: PLR2004  a state and an address
        raise NotFoundError(f"{lab.namespace}: no LAN is up", hint="virtkit demo")
    return found[1]


def leases(system: System, lab: Lab | None = None) -> list[Lease]:
    """What the DHCP server has handed out, oldest first (dnsmasq writes: expiry MAC address name client-id)."""
    lines = system.read_or(f"{(lab or Lab()).directory}/leases", "").splitlines()
    found = [line.split() for line in lines if line[:1].isdecimal()]
    return [Lease(mac, address, name.replace("*", ""), int(expires)) for expires, mac, address, name, *_ in found]


def ping_from_lan(system: System, address: str, count: int = 3, lab: Lab | None = None) -> PingResult:
    """Ask from the router. No answer is an answer; CommandError if the question could not be sent."""
    where = ["ip", "netns", "exec", (lab or Lab()).namespace]
    command = [*where, "ping", "-n", "-c", str(count), "-i", str(_PING_INTERVAL), "-W", "1", address]
    done = system.run(command, timeout=count * 2 + 10, check=False)
    counts, average = _COUNTS.search(done.stdout), _AVERAGE.search(done.stdout)
    if not counts:
        raise CommandError(command, done.status, done.stderr or done.stdout)
    return PingResult(int(counts[1]), int(counts[2]), float(average[1]) if average else None)


def _need_programs(system: System) -> None:
    for program, package in (("ip", "iproute2"), ("dnsmasq", "dnsmasq-base"), ("ping", "iputils-ping")):
        try:
            system.run([program, "-V" if program != "dnsmasq" else "--version"])
        except NotFoundError as error:
            raise NotFoundError(error.message, hint=f"apt-get install {package}") from error


def _refuse_strangers(system: System, lab: Lab) -> None:
    """The lab makes its directory first: without it, what bears the lab's names is somebody else's."""
    if system.exists(f"/run/netns/{lab.namespace}") and not system.exists(lab.directory):
        raise BusyError(
            f"{lab.namespace}: a network namespace of this name is there, and virtkit did not make it",
            hint=f"ip netns del {lab.namespace}, if nobody needs it",
        )
    if shown(system, lab.uplink) and not shown(system, INSIDE, lab.namespace)[1:]:
        raise BusyError(
            f"{lab.uplink}: a link of this name is there, and is not a finished cable to {lab.namespace}",
            hint="virtkit undo, if an interrupted run left it",
        )


def _address(system: System, lab: Lab) -> str:
    """The router's address where the LAN is up already, else the first whose network this host does not know."""
    present = shown(system, INSIDE, lab.namespace)[1:]
    if present:
        return present[0]
    routes = system.run(["ip", "-4", "route", "show", "table", "all"]).stdout
    known = [IPv4Network(destination) for destination in _ROUTE.findall(routes)]
    taken = [network for network in known if network.prefixlen >= SHORTEST_ROUTE]
    for address in ROUTERS:
        if not any(IPv4Interface(address).network.overlaps(network) for network in taken):
            return address
    raise BusyError(
        f"networks for the LAN: {', '.join(ROUTERS)} are all routed on this host, expected one free",
        hint="ip route show table all",
    )
