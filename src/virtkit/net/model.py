"""What the kernel knows about this host's network: one frozen model for "is" and for "should be".

``raw`` is the kernel's own message about an address or route: it is what gets replayed on another link, so that
nothing is lost that this model has no field for. ``line`` is the same for eyes and for comparing: complete, in the
order of ip(8), without the link it is on, and without what drifts by itself (lifetimes, states).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

UP = 0x1  # IFF_UP
LOOPBACK = 0x8  # IFF_LOOPBACK
LOWER_UP = 0x10000  # IFF_LOWER_UP: has a carrier
NAME_SIZE = 15  # bytes of a link's name and of an address's label: IFNAMSIZ without the final zero
OURS = "virtkit"  # the alias (IFLA_IFALIAS) of every link that virtkit made
OPERATIONAL = 6  # IF_OPER_UP
OPERSTATES = ("unknown", "not present", "down", "lower layer down", "testing", "dormant", "up")  # RFC 2863
ETHERNET = 1  # ARPHRD_ETHER
# Of a bridge's port, BR_STATE_* in include/uapi/linux/if_bridge.h, as sysfs has them
PORT_STATES = {"0": "disabled", "1": "listening", "2": "learning", "3": "forwarding", "4": "blocking"}
IPV4, IPV6 = 2, 10  # AF_INET, AF_INET6
MAIN_TABLE, LOCAL_TABLE = 254, 255
UNICAST = 1  # RTN_UNICAST
FROM_KERNEL = 2  # RTPROT_KERNEL
STATIC = 4  # RTPROT_STATIC
FROM_ADVERTISEMENT = 9  # RTPROT_RA
FROM_DHCP = 16  # RTPROT_DHCP
ADDRESS_ADVERTISED, ADDRESS_LINK_LOCAL = 2, 3  # IFAPROT_KERNEL_RA, IFAPROT_KERNEL_LL, since Linux 5.18
FOREVER = 0xFFFFFFFF  # a lifetime
ALL_LINKS = -1  # NETCONFA_IFINDEX_ALL: the settings in conf/all
STRICT = 1  # rp_filter: a packet must come in over the link that leads back to its source
CENTISECONDS = 100
LINK_SCOPE = 253  # RT_SCOPE_LINK

Slot: TypeAlias = tuple[int, int, str, int, int]  # family, table, destination, type of service, metric

SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
PROTOCOLS = {2: "kernel", 3: "boot", 4: "static", 9: "ra", 11: "zebra", 12: "bird", 16: "dhcp", 186: "bgp", 188: "ospf"}
TYPES = {
    1: "unicast",
    2: "local",
    3: "broadcast",
    4: "anycast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
    9: "throw",
}


@dataclass(frozen=True)
class Bridge:
    """The parameters of a link of kind bridge."""

    stp: bool
    forward_delay: int  # hundredths of a second
    raw: bytes = field(repr=False)  # IFLA_INFO_DATA: all parameters, as the kernel shows them

    @property
    def silence(self) -> float:
        """Seconds that a new port passes nothing: with STP it listens, then learns, a forward delay each."""
        return 2 * self.forward_delay / CENTISECONDS if self.stp else 0.0


@dataclass(frozen=True)
class Link:
    index: int
    name: str
    mac: str  # aa:bb:cc:dd:ee:ff; empty where a link has none
    mtu: int  # bytes
    flags: int  # IFF_*
    type: int  # ARPHRD_*
    operstate: int
    master: int  # the index of the bridge or bond that it is a port of; 0: none
    kind: str  # bridge, veth, tun, vlan ...; empty: a device with a driver of its own
    lower: int  # the index of the link that it stands on, or of a veth's other end; 0: none
    elsewhere: bool  # ``lower`` counts in another network namespace
    alias: str
    bridge: Bridge | None = None

    @property
    def up(self) -> bool:
        return bool(self.flags & UP)

    @property
    def state(self) -> str:
        return OPERSTATES[self.operstate] if self.operstate < len(OPERSTATES) else str(self.operstate)

    @property
    def ours(self) -> bool:
        return self.alias == OURS


@dataclass(frozen=True)
class Address:
    index: int  # of its link
    family: int
    local: str
    prefix_length: int
    network: str  # of its prefix, or of its peer where it has one: ``10.9.0.0/24``
    peer: str  # empty: none
    broadcast: str
    scope: int
    label: str  # IPv4 only
    flags: tuple[str, ...]  # those that a request can set, and ``secondary``
    protocol: int  # IFAPROT_*
    metric: int  # of its prefix route; 0: the kernel's default
    preferred: int  # seconds, or FOREVER
    valid: int
    tentative: bool  # duplicate address detection has not ended, or has failed
    raw: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """As people write it: ``10.9.0.11/24``."""
        return f"{self.local}/{self.prefix_length}"

    @property
    def makes_route(self) -> bool:
        """Whether the kernel adds and removes a route to ``network`` with the address."""
        return "noprefixroute" not in self.flags

    @property
    def automatic(self) -> bool:
        """Made for each link by the kernel itself, or by NetworkManager for it: it neither moves nor counts."""
        if self.family != IPV6:
            return False
        return self.protocol == ADDRESS_LINK_LOCAL or (self.scope == LINK_SCOPE and not self.makes_route)

    @property
    def drifts(self) -> bool:
        """Comes and goes with a router's advertisements."""
        return self.family == IPV6 and self.protocol == ADDRESS_ADVERTISED

    @property
    def leased(self) -> bool:
        """Given for a time, by a DHCP server most likely."""
        return self.family == IPV4 and self.valid != FOREVER

    def line(self, name: str) -> str:
        """``name`` is its link's: a label ``eth0:1`` is ``:1`` on any link."""
        label = self.label.removeprefix(name)
        words = (
            self.text,
            f"peer {self.peer}" if self.peer else "",
            f"brd {self.broadcast}" if self.broadcast else "",
            f"scope {SCOPES.get(self.scope, self.scope)}" if self.scope else "",
            *self.flags,
            f"label {label}" if label else "",
            f"proto {self.protocol}" if self.protocol else "",
            f"metric {self.metric}" if self.metric else "",
        )
        return " ".join(filter(None, words))


@dataclass(frozen=True)
class Nexthop:
    index: int  # of its link; 0: none
    gateway: str  # empty: directly on the link
    weight: int = 1
    onlink: bool = False


@dataclass(frozen=True)
class Route:
    family: int
    destination: str  # ``default`` or ``10.9.0.0/24``
    table: int
    type: int
    protocol: int
    scope: int
    tos: int
    metric: int
    source: str  # the preferred source address; empty: none
    nexthops: tuple[Nexthop, ...]
    nexthop_object: int  # 0: none
    mtu: int  # 0: the link's
    rest: tuple[str, ...]  # every other attribute, as ``name value``
    expires: int  # seconds; 0: never
    raw: bytes = field(repr=False)

    @property
    def slot(self) -> Slot:
        """Routes of one slot stand behind each other; the first one is used."""
        return self.family, self.table, self.destination, self.tos, self.metric

    @property
    def automatic(self) -> bool:
        """Made by the kernel for each link by itself: local and broadcast addresses, link-local and multicast."""
        if self.protocol != FROM_KERNEL:
            return False
        return self.table == LOCAL_TABLE or (self.family == IPV6 and self.destination in {"fe80::/64", "ff00::/8"})

    @property
    def drifts(self) -> bool:
        """Comes and goes with a router's advertisements or an address's lifetime."""
        return self.advertised or (self.family == IPV6 and bool(self.expires))

    @property
    def advertised(self) -> bool:
        return self.family == IPV6 and self.protocol == FROM_ADVERTISEMENT

    @property
    def text(self) -> str:
        """The short form, for plans and tables."""
        via = [f"via {hop.gateway}" for hop in self.nexthops if hop.gateway]
        table = [f"table {self.table}"] if self.table != MAIN_TABLE else []
        return " ".join([self.destination, *via, *table])

    def uses(self, index: int) -> bool:
        return any(hop.index == index for hop in self.nexthops)

    def line(self, index: int) -> str:
        """``index`` is its link's; other links of a multipath route are named."""
        words = (
            TYPES.get(self.type, f"type {self.type}") if self.type != UNICAST else "",
            self.destination,
            *(_hop_line(hop, index, many=len(self.nexthops) > 1) for hop in self.nexthops),
            f"table {self.table}" if self.table != MAIN_TABLE else "",
            f"tos {self.tos}" if self.tos else "",
            f"proto {PROTOCOLS.get(self.protocol, self.protocol)}",
            f"scope {SCOPES.get(self.scope, self.scope)}" if self.scope else "",
            f"src {self.source}" if self.source else "",
            f"metric {self.metric}" if self.metric else "",
            f"nhid {self.nexthop_object}" if self.nexthop_object else "",
            *self.rest,
        )
        return " ".join(filter(None, words))


def _hop_line(hop: Nexthop, index: int, *, many: bool) -> str:
    words = (
        "nexthop" if many else "",
        f"via {hop.gateway}" if hop.gateway else "",
        f"dev #{hop.index}" if hop.index != index else "",
        f"weight {hop.weight}" if many else "",
        "onlink" if hop.onlink else "",
    )
    return " ".join(filter(None, words))


@dataclass(frozen=True)
class Rule:
    """A policy rule."""

    family: int
    priority: int
    incoming: str  # the link's name; empty: any
    outgoing: str
    rest: tuple[str, ...] = ()  # every other condition, and what is done
    raw: bytes = field(default=b"", repr=False)

    def names(self, link: str) -> bool:
        return link in (self.incoming, self.outgoing)

    def line(self, name: str) -> str:
        """``name`` is its link's, which is left out."""
        ways = [("iif", self.incoming), ("oif", self.outgoing)]
        named = [word if link == name else f"{word} {link}" for word, link in ways if link]
        return " ".join([f"{self.priority}: {'IPv4' if self.family == IPV4 else 'IPv6'}", *named, *self.rest])


@dataclass(frozen=True)
class NexthopObject:
    """A way that routes name by its number (ip-nexthop(8)); they follow it to another link by themselves."""

    id: int
    index: int  # of the link; 0: none (a group, a blackhole)
    gateway: str
    rest: tuple[str, ...]
    raw: bytes = field(repr=False)

    @property
    def line(self) -> str:
        return " ".join([f"nexthop {self.id}", *([f"via {self.gateway}"] if self.gateway else []), *self.rest])


@dataclass(frozen=True)
class Neighbour:
    index: int  # of the link
    family: int
    address: bytes
    mac: bytes
    permanent: bool
    flags: int  # NTF_*


@dataclass(frozen=True)
class Queue:
    """A queueing discipline of a link."""

    index: int  # of the link
    kind: str
    handle: int  # 0: the kernel's default
    parent: int  # TC_H_*


@dataclass(frozen=True)
class Network:
    """Everything at one moment (nearly: each table is read by itself). In the kernel's order, which has a meaning."""

    links: tuple[Link, ...]
    addresses: tuple[Address, ...]
    routes: tuple[Route, ...]
    rules: tuple[Rule, ...]
    neighbours: tuple[Neighbour, ...]
    nexthops: tuple[NexthopObject, ...] = ()
    queues: tuple[Queue, ...] = ()
    source_checks: Mapping[int, int] = field(default_factory=dict)  # rp_filter by a link's index, and for ALL_LINKS

    @cached_property
    def by_name(self) -> dict[str, Link]:
        return {link.name: link for link in self.links}

    @cached_property
    def by_index(self) -> dict[int, Link]:
        return {link.index: link for link in self.links}

    def ports(self, bridge: Link) -> list[Link]:
        return [link for link in self.links if link.master == bridge.index]

    def addresses_of(self, link: Link) -> list[Address]:
        return [address for address in self.addresses if address.index == link.index]

    def routes_of(self, link: Link) -> list[Route]:
        return [route for route in self.routes if route.uses(link.index)]

    def rules_of(self, link: Link) -> list[Rule]:
        return [rule for rule in self.rules if rule.names(link.name)]

    def nexthops_of(self, link: Link) -> list[NexthopObject]:
        return [nexthop for nexthop in self.nexthops if nexthop.index == link.index]
