"""Requests to the kernel, as values: what is asked, the bytes, and which refusals mean "it is so already"."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple

from virtkit.net.decode import (
    BRIDGE_FORWARD_DELAY,
    BRIDGE_STP,
    IFLA_ADDRESS,
    IFLA_IFALIAS,
    IFLA_IFNAME,
    IFLA_LINKINFO,
    IFLA_MASTER,
    IFLA_MTU,
    INFO_DATA,
    INFO_KIND,
    NDA_DST,
    NDA_LLADDR,
    NEIGHBOUR_PERMANENT,
)
from virtkit.net.model import IPV4, IPV6, OURS, UP
from virtkit.net.wire import (
    DELADDR,
    DELLINK,
    DELROUTE,
    DELRULE,
    NEWADDR,
    NEWLINK,
    NEWNEIGH,
    NEWNEXTHOP,
    NEWROUTE,
    NEWRULE,
    Attribute,
    Attributes,
    LinkHeader,
    NeighbourHeader,
    nest,
    text_attribute,
    u8_attribute,
    u32_attribute,
)

if TYPE_CHECKING:
    from virtkit.net.model import Neighbour

REPLACE, EXCLUSIVE, CREATE, APPEND = 0x100, 0x200, 0x400, 0x800  # NLM_F_*
VETH_PEER = 1  # VETH_INFO_PEER: ifinfomsg and attributes of the other end
IFLA_NET_NS_FD = 28
IFLA_AF_SPEC, INET6_ADDR_GEN_MODE, ADDR_GEN_MODE_NONE = 26, 8, 1
INET_CONFIGURATION, RP_FILTER = 1, 8  # IFLA_INET_CONF, IPV4_DEVCONF_RP_FILTER
INFO_SLAVE_KIND, INFO_SLAVE_DATA = 4, 5
LEARNING, FLUSH, ISOLATED, FLOODING = 8, 24, 33, (9, 27, 30)  # IFLA_BRPORT_*; UNICAST_, MCAST_ and BCAST_FLOOD
NUD_STALE, NTF_ROUTER = 0x04, 0x80
GONE = frozenset({errno.ENODEV, errno.EADDRNOTAVAIL, errno.ESRCH, errno.ENOENT})

# The bridge parameters that a request may set; the others are counters, timers, or follow from these.
BRIDGE_PARAMETERS = frozenset({*range(1, 10), 22, 23, 24, 25, 36, 37, 38})

NO_VLAN_FILTERING = u8_attribute(7, 0)  # a kernel built without it shows this, and refuses to be told the same


class Request(NamedTuple):
    what: str  # "br0: add 10.9.0.11/24": for messages
    type: int
    flags: int  # besides REQUEST and ACK
    body: bytes
    fine: frozenset[int] = frozenset()  # refusals (errno) that mean that nothing is to be done


def create_bridge(name: str, mac: str, parameters: bytes = b"") -> Request:
    """No STP and no forward delay, unless ``parameters`` (Bridge.raw) says otherwise.

    With STP a port is deaf for two forward delays: 30 seconds.
    """
    wanted = [p for p in Attributes.parse(parameters) if p.type in BRIDGE_PARAMETERS and p != NO_VLAN_FILTERING]
    quick = [u32_attribute(BRIDGE_FORWARD_DELAY, 0), u32_attribute(BRIDGE_STP, 0)]
    info = nest(IFLA_LINKINFO, [text_attribute(INFO_KIND, "bridge"), nest(INFO_DATA, wanted or quick)])
    body = _named(name, Attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", ""))), info)
    return Request(f"create bridge {name}", NEWLINK, CREATE | EXCLUSIVE, body)


def create_veth(name: str, peer: str) -> Request:
    info = nest(INFO_DATA, [Attribute(VETH_PEER, _named(peer), nested=True)])
    body = _named(name, nest(IFLA_LINKINFO, [text_attribute(INFO_KIND, "veth"), info]))
    return Request(f"create veth {name}", NEWLINK, CREATE | EXCLUSIVE, body)


def create_twin(name: str, mac: str, peer: str, namespace: int) -> Request:
    """A link whose other end, ``peer``, is in another network namespace, given by a file descriptor."""
    far = _named(peer) + u32_attribute(IFLA_NET_NS_FD, namespace).pack()
    info = nest(INFO_DATA, [Attribute(VETH_PEER, far, nested=True)])
    own = Attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    body = _named(name, own, nest(IFLA_LINKINFO, [text_attribute(INFO_KIND, "veth"), info]))
    return Request(f"create {name}", NEWLINK, CREATE | EXCLUSIVE, body)


def set_alias(name: str, alias: str = OURS) -> Request:
    return Request(f"{name}: set alias {alias!r}", NEWLINK, 0, _named(name, text_attribute(IFLA_IFALIAS, alias)))


def set_mtu(name: str, mtu: int) -> Request:
    return Request(f"{name}: set mtu {mtu}", NEWLINK, 0, _named(name, u32_attribute(IFLA_MTU, mtu)))


def pin_mtu(name: str, mtu: int) -> list[Request]:
    """A bridge follows the smallest MTU of its ports, until its own was changed after its making.

    Setting the MTU that it has is no change to the kernel: hence the other one first.
    """
    return [set_mtu(name, mtu - 1), set_mtu(name, mtu)]


def set_up(name: str, *, up: bool = True) -> Request:
    body = _named(name, start=LinkHeader(flags=UP if up else 0, change=UP))
    return Request(f"{name}: set {'up' if up else 'down'}", NEWLINK, 0, body)


def set_mac(name: str, mac: str) -> Request:
    body = _named(name, Attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", ""))))
    return Request(f"{name}: set mac {mac}", NEWLINK, 0, body)


def set_stp(name: str, *, on: bool) -> Request:
    """On a bridge: the kernel's spanning tree protocol, or a daemon's where /sbin/bridge-stp starts one."""
    info = [text_attribute(INFO_KIND, "bridge"), nest(INFO_DATA, [u32_attribute(BRIDGE_STP, int(on))])]
    return Request(f"{name}: set stp {'on' if on else 'off'}", NEWLINK, 0, _named(name, nest(IFLA_LINKINFO, info)))


def set_master(name: str, master: int, master_name: str = "") -> Request:
    """``master`` is a link's index; 0 takes the port out."""
    what = f"{name}: make it a port of {master_name}" if master else f"{name}: take it out of its bridge"
    return Request(what, NEWLINK, 0, _named(name, u32_attribute(IFLA_MASTER, master)))


def set_flooding(port: str, *, on: bool) -> Request:
    """Whether a bridge sends to ``port`` what is for everybody, or for somebody whose port it does not know.

    What comes in over it is not learned from.
    """
    flags = [u8_attribute(LEARNING, 0), *(u8_attribute(kind, int(on)) for kind in FLOODING)]
    return _set_port(f"{port}: flooding {'on' if on else 'off'}", port, flags)


def set_isolated(port: str, *, on: bool) -> Request:
    """Whether a bridge passes nothing between ``port`` and its other isolated ports (since Linux 4.18)."""
    return _set_port(f"{port}: isolation {'on' if on else 'off'}", port, [u8_attribute(ISOLATED, int(on))])


def forget_stations(port: str) -> Request:
    """The bridge no longer knows who is behind ``port``, and learns it no more: it floods."""
    return _set_port(f"{port}: forget who is behind it", port, [u8_attribute(LEARNING, 0), Attribute(FLUSH, b"")])


def _set_port(what: str, port: str, values: list[Attribute]) -> Request:
    info = [text_attribute(INFO_SLAVE_KIND, "bridge"), nest(INFO_SLAVE_DATA, values)]
    return Request(what, NEWLINK, 0, _named(port, nest(IFLA_LINKINFO, info)))


def without_link_local(name: str) -> Request:
    """A link that shall say nothing by itself: no fe80:: address, no detection of duplicates."""
    mode = nest(IPV6, [u8_attribute(INET6_ADDR_GEN_MODE, ADDR_GEN_MODE_NONE)])
    return Request(f"{name}: no link-local address", NEWLINK, 0, _named(name, nest(IFLA_AF_SPEC, [mode])))


def set_rp_filter(name: str, value: int) -> Request:
    """net.ipv4.conf.NAME.rp_filter, in one transaction with the rest."""
    settings = nest(IPV4, [nest(INET_CONFIGURATION, [u32_attribute(RP_FILTER, value)])])
    return Request(f"{name}: set rp_filter {value}", NEWLINK, 0, _named(name, nest(IFLA_AF_SPEC, [settings])))


def delete_link(name: str) -> Request:
    return Request(f"delete {name}", DELLINK, 0, _named(name), GONE)


def add_address(what: str, body: bytes) -> Request:
    """Also changes one that is there."""
    return Request(what, NEWADDR, CREATE | REPLACE, body)


def delete_address(what: str, body: bytes) -> Request:
    return Request(what, DELADDR, 0, body, GONE)


def replace_route(what: str, body: bytes) -> Request:
    """In the place of the first route of the same slot. EEXIST: the same route stands behind another one."""
    return Request(what, NEWROUTE, CREATE | REPLACE, body, frozenset({errno.EEXIST}))


def append_route(what: str, body: bytes) -> Request:
    return Request(what, NEWROUTE, CREATE | APPEND, body, frozenset({errno.EEXIST}))


def delete_route(what: str, body: bytes) -> Request:
    return Request(what, DELROUTE, 0, body, GONE)


def add_rule(what: str, body: bytes) -> Request:
    return Request(what, NEWRULE, CREATE | EXCLUSIVE, body, frozenset({errno.EEXIST}))


def delete_rule(what: str, body: bytes) -> Request:
    return Request(what, DELRULE, 0, body, GONE)


def replace_nexthop(what: str, body: bytes) -> Request:
    """In the place of the object of the same number; the routes that name it go with it."""
    return Request(what, NEWNEXTHOP, CREATE | REPLACE, body)


def copy_neighbour(neighbour: Neighbour, index: int) -> Request:
    """Known to link ``index`` too, as stale: used at once, and asked about later."""
    state = NEIGHBOUR_PERMANENT if neighbour.permanent else NUD_STALE
    start = NeighbourHeader(neighbour.family, index=index, state=state, flags=neighbour.flags & NTF_ROUTER)
    there = Attributes([Attribute(NDA_DST, neighbour.address), Attribute(NDA_LLADDR, neighbour.mac)])
    what = f"copy neighbour {neighbour.mac.hex(':')}"
    return Request(what, NEWNEIGH, CREATE | REPLACE, start.pack() + there.pack())


def _named(name: str, *attributes: Attribute, start: LinkHeader | None = None) -> bytes:
    """A message about the link of this name, which the kernel looks up when it comes to the request."""
    return (start or LinkHeader()).pack() + Attributes([text_attribute(IFLA_IFNAME, name), *attributes]).pack()
