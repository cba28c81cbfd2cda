"""Messages of the kernel -> the model."""

from __future__ import annotations

import socket
import sys
from ipaddress import ip_network
from typing import TYPE_CHECKING

from virtkit.core.errors import NetworkError
from virtkit.core.units import divide_up, round_up
from virtkit.net.model import (
    FOREVER,
    IPV4,
    IPV6,
    PROTOCOLS,
    Address,
    Bridge,
    Link,
    Neighbour,
    Nexthop,
    NexthopObject,
    Route,
    Rule,
)
from virtkit.net.wire import (
    ALIGN,
    AddressHeader,
    AddressLifetimes,
    Attribute,
    Attributes,
    LinkHeader,
    NeighbourHeader,
    NexthopObjectHeader,
    RouteCache,
    RouteHeader,
    RuleHeader,
    SettingsHeader,
    head,
    nexthops,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER = 1, 3, 4, 5, 10
IFLA_OPERSTATE, IFLA_LINKINFO, IFLA_IFALIAS, IFLA_LINK_NETNSID = 16, 18, 20, 37
INFO_KIND, INFO_DATA = 1, 2
BRIDGE_FORWARD_DELAY, BRIDGE_STP = 1, 5

IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST, IFA_CACHEINFO, IFA_FLAGS = 1, 2, 3, 4, 6, 8
IFA_METRIC, IFA_PROTOCOL = 9, 11
TENTATIVE = 0x40 | 0x08 | 0x04  # IFA_F_TENTATIVE, DADFAILED, OPTIMISTIC
ADDRESS_FLAGS: Mapping[
    int, Mapping[int, str]
] = {  # those that a request can set, and the order-dependent ``secondary``
    IPV4: {0x01: "secondary", 0x200: "noprefixroute", 0x400: "autojoin"},
    IPV6: {0x02: "nodad", 0x10: "home", 0x100: "mngtmpaddr", 0x200: "noprefixroute", 0x400: "autojoin"},
}

RTA_DST, RTA_SRC, RTA_IIF, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC = 1, 2, 3, 4, 5, 6, 7
RTA_METRICS, RTA_MULTIPATH, RTA_CACHEINFO, RTA_TABLE, RTA_VIA, RTA_PREF, RTA_EXPIRES = 8, 9, 12, 15, 18, 20, 23
RTA_NH_ID = 30
RTAX_MTU = 2
ONLINK = 4  # RTNH_F_ONLINK: the only route flag that a request sets
METRICS = {
    1: "lock",
    2: "mtu",
    3: "window",
    4: "rtt",
    5: "rttvar",
    6: "ssthresh",
    7: "cwnd",
    8: "advmss",
    9: "reordering",
    10: "hoplimit",
    11: "initcwnd",
    12: "features",
    13: "rto_min",
    14: "initrwnd",
    15: "quickack",
}
U32 = 4  # bytes
VIA_IPV4_SIZE = 6  # bytes of struct rtvia
PREFERENCES = {0: "medium", 1: "high", 3: "low"}
_SPELLED_OUT = {
    RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_VIA, RTA_PRIORITY, RTA_PREFSRC, RTA_METRICS, RTA_MULTIPATH, RTA_CACHEINFO,
    RTA_TABLE, RTA_PREF, RTA_NH_ID,
}  # fmt: skip

FRA_DST, FRA_SRC, FRA_IIFNAME, FRA_PRIORITY, FRA_TABLE, FRA_OIFNAME = 1, 2, 3, 6, 15, 17
INVERTED = 2  # FIB_RULE_INVERT: the only flag of a rule that a request sets
LOOKUP = 1  # FR_ACT_TO_TBL
RULE_WORDS = {10: "fwmark", 16: "fwmask", 21: "proto", 22: "ipproto"}
_SPELLED_OUT_RULE = {FRA_DST, FRA_SRC, FRA_IIFNAME, FRA_PRIORITY, FRA_TABLE, FRA_OIFNAME}
NO_SUPPRESSION = Attribute(14, b"\xff" * 4)  # FRA_SUPPRESS_PREFIXLEN: none, which each dump says again
NHA_ID, NHA_OIF, NHA_GATEWAY = 1, 5, 6

NETCONFA_IFINDEX, NETCONFA_RP_FILTER = 1, 3

NDA_DST, NDA_LLADDR = 1, 2
NEIGHBOUR_PERMANENT = 0x80
NEIGHBOUR_UNUSABLE = 0x01 | 0x20 | 0x40  # NUD_INCOMPLETE, FAILED, NOARP


def link(body: bytes) -> Link:
    start, attributes = head(LinkHeader, body), Attributes.parse(body, LinkHeader.SIZE)
    info = attributes.nested(IFLA_LINKINFO)
    kind = info.text(INFO_KIND)
    return Link(
        index=start.index,
        name=attributes.text(IFLA_IFNAME),
        mac=(attributes.raw(IFLA_ADDRESS) or b"").hex(":"),
        mtu=attributes.number(IFLA_MTU),
        flags=start.flags,
        type=start.type,
        operstate=attributes.number(IFLA_OPERSTATE),
        master=attributes.number(IFLA_MASTER),
        kind=kind,
        lower=attributes.number(IFLA_LINK),
        elsewhere=attributes.raw(IFLA_LINK_NETNSID) is not None,
        alias=attributes.text(IFLA_IFALIAS),
        bridge=_bridge(info.raw(INFO_DATA) or b"") if kind == "bridge" else None,
    )


def _bridge(data: bytes) -> Bridge:
    parameters = Attributes.parse(data)
    return Bridge(bool(parameters.number(BRIDGE_STP)), parameters.number(BRIDGE_FORWARD_DELAY), data)


def address(body: bytes) -> Address:
    start, attributes = head(AddressHeader, body), Attributes.parse(body, AddressHeader.SIZE)
    flags = attributes.number(IFA_FLAGS, start.flags)
    far = _ip(start.family, attributes.raw(IFA_ADDRESS))
    local = _ip(start.family, attributes.raw(IFA_LOCAL)) or far
    lifetimes = attributes.raw(IFA_CACHEINFO)
    left = head(AddressLifetimes, lifetimes) if lifetimes else AddressLifetimes(FOREVER, FOREVER)
    return Address(
        index=start.index,
        family=start.family,
        local=local,
        prefix_length=start.prefix_length,
        network=_network(far, start.prefix_length),
        peer=far if far != local else "",
        broadcast=_ip(start.family, attributes.raw(IFA_BROADCAST)),
        scope=start.scope,
        label=attributes.text(IFA_LABEL),
        flags=tuple(word for bit, word in ADDRESS_FLAGS.get(start.family, {}).items() if flags & bit),
        protocol=attributes.number(IFA_PROTOCOL),
        metric=attributes.number(IFA_METRIC),
        preferred=left.preferred,
        valid=left.valid,
        tentative=bool(flags & TENTATIVE) and start.family == IPV6,
        raw=body,
    )


def route(body: bytes) -> Route:
    start, attributes = head(RouteHeader, body), Attributes.parse(body, RouteHeader.SIZE)
    cache = attributes.raw(RTA_CACHEINFO)
    return Route(
        family=start.family,
        destination=_destination(start, attributes),
        table=attributes.number(RTA_TABLE, start.table),
        type=start.type,
        protocol=start.protocol,
        scope=start.scope,
        tos=start.tos,
        metric=attributes.number(RTA_PRIORITY),
        source=_ip(start.family, attributes.raw(RTA_PREFSRC)),
        nexthops=_nexthops(start, attributes),
        nexthop_object=attributes.number(RTA_NH_ID),
        mtu=attributes.nested(RTA_METRICS).number(RTAX_MTU),
        rest=tuple(_rest(attributes)),
        expires=divide_up(max(head(RouteCache, cache).expires, 0), 100) if cache else 0,
        raw=body,
    )


def rule(body: bytes) -> Rule:
    start, attributes = head(RuleHeader, body), Attributes.parse(body, RuleHeader.SIZE)
    incoming, outgoing = attributes.text(FRA_IIFNAME), attributes.text(FRA_OIFNAME)
    rest = tuple(_rule_rest(start, attributes))
    return Rule(start.family, attributes.number(FRA_PRIORITY), incoming, outgoing, rest, body)


def _rule_rest(start: RuleHeader, attributes: Attributes) -> Iterator[str]:
    for word, length, kind in (("from", start.source_length, FRA_SRC), ("to", start.destination_length, FRA_DST)):
        if length:
            yield f"{word} {_ip(start.family, attributes.raw(kind))}/{length}"
    yield from (["not"] if start.flags & INVERTED else [])
    yield from ([f"tos {start.tos}"] if start.tos else [])
    table = attributes.number(FRA_TABLE, start.table)
    yield f"lookup {table}" if start.action == LOOKUP else f"action {start.action}"
    for attribute in attributes:
        value = Attributes([attribute]).number(attribute.type) if len(attribute.value) in (1, U32) else None
        if attribute.type in RULE_WORDS and value is not None:
            yield f"{RULE_WORDS[attribute.type]} {value}"
        elif attribute.type not in _SPELLED_OUT_RULE and attribute != NO_SUPPRESSION:
            yield f"attribute-{attribute.type} {attribute.value.hex()}"


def nexthop_object(body: bytes) -> NexthopObject:
    start, attributes = head(NexthopObjectHeader, body), Attributes.parse(body, NexthopObjectHeader.SIZE)
    rest = [f"attribute-{a.type} {a.value.hex()}" for a in attributes if a.type not in (NHA_ID, NHA_OIF, NHA_GATEWAY)]
    return NexthopObject(
        attributes.number(NHA_ID),
        attributes.number(NHA_OIF),
        _ip(start.family, attributes.raw(NHA_GATEWAY)),
        (
            *(["onlink"] if start.flags & ONLINK else []),
            f"proto {PROTOCOLS.get(start.protocol, start.protocol)}",
            *rest,
        ),
        body,
    )


def neighbour(body: bytes) -> Neighbour | None:
    """None for an entry that nothing can be sent with."""
    start, attributes = head(NeighbourHeader, body), Attributes.parse(body, NeighbourHeader.SIZE)
    there, mac = attributes.raw(NDA_DST), attributes.raw(NDA_LLADDR)
    if start.family not in (IPV4, IPV6) or not there or not mac or start.state & NEIGHBOUR_UNUSABLE:
        return None
    permanent = bool(start.state & NEIGHBOUR_PERMANENT)
    return Neighbour(start.index, start.family, there, mac, permanent, start.flags)


def source_check(body: bytes) -> tuple[int, int]:
    """A link's index (ALL_LINKS and the default's are negative) and its rp_filter."""
    attributes = Attributes.parse(body, round_up(SettingsHeader.SIZE, ALIGN))
    index = attributes.number(NETCONFA_IFINDEX)
    return index - (1 << 32 if index >> 31 else 0), attributes.number(NETCONFA_RP_FILTER)


def _destination(start: RouteHeader, attributes: Attributes) -> str:
    if not start.destination_length:
        return "default"
    return _network(_ip(start.family, attributes.raw(RTA_DST)), start.destination_length)


def _nexthops(start: RouteHeader, attributes: Attributes) -> tuple[Nexthop, ...]:
    many = attributes.raw(RTA_MULTIPATH)
    if many is None:
        onlink = bool(start.flags & ONLINK)
        return (Nexthop(attributes.number(RTA_OIF), _gateway(start.family, attributes), onlink=onlink),)
    return tuple(
        Nexthop(hop.index, _gateway(start.family, inner), hop.hops + 1, bool(hop.flags & ONLINK))
        for hop, inner in nexthops(many)
    )


def _gateway(family: int, attributes: Attributes) -> str:
    via = attributes.raw(RTA_VIA)
    if via is not None:  # an IPv4 route through an IPv6 gateway: struct rtvia is the family and the address
        return _ip(IPV4 if len(via) == VIA_IPV4_SIZE else IPV6, via[2:])
    return _ip(family, attributes.raw(RTA_GATEWAY))


def _rest(attributes: Attributes) -> Iterator[str]:
    """What has no field of its own: the metrics, the preference, and as hexadecimal what this program does not know."""
    for metric in attributes.nested(RTA_METRICS):
        value = int.from_bytes(metric.value, sys.byteorder) if len(metric.value) == U32 else metric.value.hex()
        yield f"{METRICS.get(metric.type, f'metric-{metric.type}')} {value}"
    if (preference := attributes.number(RTA_PREF)) in PREFERENCES and preference:
        yield f"pref {PREFERENCES[preference]}"
    for attribute in attributes:
        if attribute.type not in _SPELLED_OUT:
            yield f"attribute-{attribute.type} {attribute.value.hex()}"


def _ip(family: int, value: bytes | None) -> str:
    if value is None:
        return ""
    try:
        return socket.inet_ntop(family, value)
    except (ValueError, OSError) as error:
        found = f"{len(value)} bytes of family {family}"
        raise NetworkError(f"netlink: address is {found}, expected IPv4 or IPv6") from error


def _network(address: str, prefix_length: int) -> str:
    try:
        return str(ip_network(f"{address}/{prefix_length}", strict=False))
    except ValueError as error:
        raise NetworkError(
            f"netlink: prefix is {address or 'nothing'}/{prefix_length}, expected an IP network"
        ) from error
