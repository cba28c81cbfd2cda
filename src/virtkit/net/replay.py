"""The kernel's own message about an address or a route, moved to another link and made into a request.

Only what ties it to the link is rewritten, so that attributes survive which this program has never heard of.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from virtkit.core.units import round_up
from virtkit.net import requests
from virtkit.net.decode import (
    ADDRESS_FLAGS,
    FRA_IIFNAME,
    FRA_OIFNAME,
    IFA_ADDRESS,
    IFA_CACHEINFO,
    IFA_FLAGS,
    IFA_LABEL,
    IFA_LOCAL,
    INVERTED,
    NHA_OIF,
    ONLINK,
    RTA_CACHEINFO,
    RTA_EXPIRES,
    RTA_MULTIPATH,
    RTA_OIF,
    RTA_PRIORITY,
)
from virtkit.net.model import IPV6, NAME_SIZE
from virtkit.net.wire import (
    ALIGN,
    AddressHeader,
    AddressLifetimes,
    Attribute,
    Attributes,
    NexthopHeader,
    NexthopObjectHeader,
    RouteHeader,
    RuleHeader,
    head,
    nexthops,
    text_attribute,
    u32_attribute,
)

if TYPE_CHECKING:
    from virtkit.net.model import Address, NexthopObject, Route, Rule
    from virtkit.net.requests import Request

SECONDARY, NODAD = 0x01, 0x02  # IFA_F_*


def address_on(address: Address, old: str, name: str, index: int) -> Address:
    """The same on link ``name``; its label ``eth0:1`` becomes ``br0:1``, one that is not named so stays."""
    label = _moved_label(address, old, name)
    body = _attributes(address)
    renamed = [text_attribute(IFA_LABEL, label) if a.type == IFA_LABEL else a for a in body]
    start = head(AddressHeader, address.raw)
    moved = AddressHeader(start.family, start.prefix_length, start.flags, start.scope, index)
    return replace(address, index=index, label=label, raw=moved.pack() + Attributes(renamed).pack())


def label_fits(address: Address, old: str, name: str) -> bool:
    return len(_moved_label(address, old, name).encode()) <= NAME_SIZE


def route_on(route: Route, old: int, new: int) -> Route:
    """The same with the ways over link ``old`` leading over link ``new``."""
    start = route.raw[: RouteHeader.SIZE]
    moved = Attributes(_relinked(attribute, old, new) for attribute in _route_attributes(route))
    hops = tuple(replace(hop, index=new) if hop.index == old else hop for hop in route.nexthops)
    return replace(route, nexthops=hops, raw=start + moved.pack())


def second_choice(route: Route) -> Route:
    """The same with a metric that makes any other like it be taken instead."""
    return with_metric(route, route.metric + 1)


def with_metric(route: Route, metric: int) -> Route:
    start = route.raw[: RouteHeader.SIZE]
    rest = (attribute for attribute in _route_attributes(route) if attribute.type != RTA_PRIORITY)
    return replace(route, metric=metric, raw=start + Attributes([*rest, u32_attribute(RTA_PRIORITY, metric)]).pack())


def rule_on(rule: Rule, old: str, new: str) -> Rule:
    """The same naming link ``new`` wherever it names ``old``."""
    renamed = (
        text_attribute(a.type, new)
        if a.type in (FRA_IIFNAME, FRA_OIFNAME) and Attributes([a]).text(a.type) == old
        else a
        for a in Attributes.parse(rule.raw, RuleHeader.SIZE)
    )
    incoming, outgoing = (new if name == old else name for name in (rule.incoming, rule.outgoing))
    raw = rule.raw[: RuleHeader.SIZE] + Attributes(renamed).pack()
    return replace(rule, incoming=incoming, outgoing=outgoing, raw=raw)


def nexthop_on(nexthop: NexthopObject, index: int) -> NexthopObject:
    body = Attributes.parse(nexthop.raw, NexthopObjectHeader.SIZE)
    moved = Attributes(u32_attribute(NHA_OIF, index) if a.type == NHA_OIF else a for a in body)
    return replace(nexthop, index=index, raw=nexthop.raw[: NexthopObjectHeader.SIZE] + moved.pack())


def establish(rule: Rule) -> Request:
    return requests.add_rule(f"add rule {rule.line('')}", _rule_body(rule))


def abolish(rule: Rule) -> Request:
    return requests.delete_rule(f"delete rule {rule.line('')}", _rule_body(rule))


def place(nexthop: NexthopObject, name: str) -> Request:
    start = head(NexthopObjectHeader, nexthop.raw)
    settable = replace(start, scope=0, flags=start.flags & ONLINK).pack()  # the kernel finds the others by itself
    return requests.replace_nexthop(f"{name}: {nexthop.line}", settable + nexthop.raw[NexthopObjectHeader.SIZE :])


def with_protocol(route: Route, protocol: int) -> Route:
    start = replace(head(RouteHeader, route.raw), protocol=protocol)
    return replace(route, protocol=protocol, raw=start.pack() + route.raw[RouteHeader.SIZE :])


def add(address: Address, name: str, *, at_once: bool = True) -> Request:
    """``at_once``: usable immediately, without the second of duplicate address detection; it was this host's before."""
    flags = _settable(address)
    if at_once and address.family == IPV6 and not address.tentative:
        flags |= NODAD
    start = AddressHeader(address.family, address.prefix_length, flags & 0xFF, address.scope, address.index)
    kept = [a for a in _attributes(address) if a.type not in (IFA_FLAGS, IFA_CACHEINFO)]
    lifetimes = Attribute(IFA_CACHEINFO, AddressLifetimes(address.preferred, address.valid).pack())
    packed = Attributes([*kept, lifetimes, u32_attribute(IFA_FLAGS, flags)]).pack()
    return requests.add_address(f"{name}: add {address.text}", start.pack() + packed)


def was_detected(address: Address) -> bool:
    """Whether ``add(at_once=True)`` gives it a flag that it did not have."""
    return address.family == IPV6 and not address.tentative and "nodad" not in address.flags


def remove(address: Address, name: str) -> Request:
    start = AddressHeader(address.family, address.prefix_length, index=address.index)
    which = Attributes(a for a in _attributes(address) if a.type in (IFA_ADDRESS, IFA_LOCAL))
    return requests.delete_address(f"{name}: delete {address.text}", start.pack() + which.pack())


def supplant(route: Route, name: str) -> Request:
    return requests.replace_route(f"{name}: route {route.text}", _request_body(route))


def append(route: Route, name: str) -> Request:
    return requests.append_route(f"{name}: add route {route.text}", _request_body(route))


def withdraw(route: Route, name: str) -> Request:
    return requests.delete_route(f"{name}: delete route {route.text}", _request_body(route))


def _moved_label(address: Address, old: str, name: str) -> str:
    return name + address.label.removeprefix(old) if address.label.startswith(old) else address.label


def _attributes(address: Address) -> Attributes:
    return Attributes.parse(address.raw, AddressHeader.SIZE)


def _route_attributes(route: Route) -> Attributes:
    return Attributes.parse(route.raw, RouteHeader.SIZE)


def _settable(address: Address) -> int:
    bits = {word: bit for bit, word in ADDRESS_FLAGS[address.family].items() if bit != SECONDARY}
    return sum(bits.get(word, 0) for word in address.flags)  # "secondary" follows from the order of adding


def _request_body(route: Route) -> bytes:
    start = head(RouteHeader, route.raw)
    stateless = RouteHeader(
        start.family,
        start.destination_length,
        start.source_length,
        start.tos,
        start.table,
        start.protocol,
        start.scope,
        start.type,
        start.flags & ONLINK,  # the others are states (dead, link down, offloaded), which the kernel refuses to be told
    )
    kept = [attribute for attribute in _route_attributes(route) if attribute.type != RTA_CACHEINFO]
    if route.expires and route.family == IPV6:
        kept.append(u32_attribute(RTA_EXPIRES, route.expires))
    return stateless.pack() + Attributes(kept).pack()


def _rule_body(rule: Rule) -> bytes:
    start = head(RuleHeader, rule.raw)
    settable = replace(start, flags=start.flags & INVERTED).pack()  # the others are states (its link is not there)
    return settable + rule.raw[RuleHeader.SIZE :]


def _relinked(attribute: Attribute, old: int, new: int) -> Attribute:
    if attribute.type == RTA_OIF and Attributes([attribute]).number(RTA_OIF) == old:
        return u32_attribute(RTA_OIF, new)
    if attribute.type == RTA_MULTIPATH:
        return Attribute(RTA_MULTIPATH, _relinked_hops(attribute.value, old, new), attribute.nested)
    return attribute


def _relinked_hops(value: bytes, old: int, new: int) -> bytes:
    packed = b""
    for hop, inner in nexthops(value):
        index = new if hop.index == old else hop.index
        body = inner.pack()
        length = NexthopHeader.SIZE + len(body)
        packed += NexthopHeader(length, hop.flags & ONLINK, hop.hops, index).pack() + body
        packed += bytes(round_up(length, ALIGN) - length)
    return packed
