"""Is and should be -> requests, in the order that keeps the host reachable. Pure.

First the addresses are put where they shall be, while they still are where they were: on either path the host
answers. Then the neighbours, so that nobody has to be asked for. Then the routes, those without a gateway first,
because the kernel checks gateways against them. Only then the old addresses go: what comes in over a bridge whose
address is gone is not answered.

A port joins its bridge before the routes change, and leaves it after: what the host sends through the port itself
goes out in either case, what it sends through a bridge without a port is lost.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from virtkit.net import crossing, replay
from virtkit.net.model import FROM_KERNEL, IPV4, IPV6, UNICAST
from virtkit.net.requests import copy_neighbour, forget_stations, set_flooding, set_master, set_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.model import Address, Network, Route
    from virtkit.net.requests import Request
    from virtkit.net.standing import Side, Standing

IPV6_METRIC = 256  # of a prefix route, unless the address says otherwise


class Steps(NamedTuple):
    """In order; each to be sent in one piece, or all of them. Nothing, if it is as it should be."""

    before: list[Request]  # after these the host answers on either path
    move: list[Request]
    after: list[Request]  # the old path ends

    @property
    def all(self) -> list[Request]:
        return [*self.before, *self.move, *self.after]


def steps(network: Network, now: Standing, should: Standing, spare: str = "") -> Steps:
    """To be done, then compared again: a second round removes what the kernel added by itself to the addresses.

    ``spare`` is a port of the bridge that stands in for the port until it has joined, and again when it leaves: then
    the routes over the bridge may end after that. ICMPv6 answers over the link that asked need them.
    """
    pair = frozenset({now.bridge.index, now.port.index})
    sides = [(now.bridge, should.bridge), (now.port, should.port)]
    added = [*chain.from_iterable((*_added(*side), *_established(*side)) for side in sides)]
    removed = [*chain.from_iterable((*_abolished(*side), *_removed(*side)) for side in sides)]
    routed = [*chain.from_iterable((*_routed(network, *side, pair), *_placed(*side)) for side in sides)]
    hand = _changed_hands(now, should)
    joins = bool(should.port.master)
    withdrawing = bool(hand and not joins) or not (added or removed or hand)
    loosening = crossing.loosened(network, (now.bridge, now.port)) if hand else []
    ways = [request for _, request in sorted(routed, key=lambda pair: pair[0])]
    ended = [*chain.from_iterable(_withdrawn(*side) for side in sides)] if withdrawing else []
    valve = [set_flooding(spare, on=not joins)] if hand and spare else []
    if valve and not joins:  # a bridge that still knows a port that is gone sends to nobody
        valve.insert(0, forget_stations(now.port.name))
    return Steps(
        [
            *([set_up(now.port.name)] if should.port.up and not now.port.up else []),
            *loosening,
            *added,
            *(_copied_neighbours(network, now, should) if hand else ()),
        ],
        [*hand, *valve, *ways] if joins else [*ways, *([] if spare else ended), *valve, *hand],
        [
            *(ended if joins or spare else []),
            *removed,
            *crossing.tightened(network, sides, moving=bool(hand)),
            *chain.from_iterable(_as_before(*side) for side in sides),
            *([set_up(now.port.name, up=False)] if now.port.up and not should.port.up else []),
        ],
    )


def filled(network: Network, now: Side, should: Side) -> list[Request]:
    """What one link lacks, for a link that was made anew."""
    routed = sorted(_routed(network, now, should, frozenset({now.index})), key=lambda pair: pair[0])
    return [*_added(now, should), *(request for _, request in routed), *_as_before(now, should)]


def _missing(now: Side, should: Side) -> list[Address]:
    """In the order in which adding them gives the order wanted: the kernel puts a new IPv6 address in front."""
    present = {address.line(now.name) for address in now.addresses}
    missing = [address for address in should.addresses if address.line(should.name) not in present]
    return [a for a in missing if a.family == IPV4] + [a for a in reversed(missing) if a.family == IPV6]


def _added(now: Side, should: Side) -> Iterator[Request]:
    for address in _missing(now, should):
        yield replay.add(address, now.name)


def _as_before(now: Side, should: Side) -> Iterator[Request]:
    """Added without duplicate address detection; from now on it shall be as it was."""
    for address in _missing(now, should):
        if replay.was_detected(address):
            yield replay.add(address, now.name, at_once=False)


def _removed(now: Side, should: Side) -> Iterator[Request]:
    """Last first: with a primary address the kernel may remove its secondaries.

    What a router advertised meanwhile stays where it came.
    """
    wanted = {address.line(should.name) for address in should.addresses}
    for address in reversed(now.addresses):
        if address.line(now.name) not in wanted and (should.empty or not address.drifts):
            yield replay.remove(address, now.name)


def _changed_hands(now: Standing, should: Standing) -> list[Request]:
    if now.port.master == should.port.master:
        return []
    index = should.bridge.index if should.port.master else 0
    return [set_master(now.port.name, index, should.port.master)]


def _copied_neighbours(network: Network, now: Standing, should: Standing) -> Iterator[Request]:
    loser, gainer = (now.port, now.bridge) if should.port.master else (now.bridge, now.port)
    for neighbour in network.neighbours:
        if neighbour.index == loser.index and loser.addresses:
            yield copy_neighbour(neighbour, gainer.index)


def _routed(network: Network, now: Side, should: Side, pair: frozenset[int]) -> Iterator[tuple[bool, Request]]:
    """With each whether it needs a gateway: those come later."""
    present = {route.line(now.index) for route in now.routes}
    coming = _missing(now, should)
    first_of = {route.slot: route for route in reversed(network.routes)}
    taken = set()
    for route in should.routes:
        if route.line(should.index) in present or any(_makes(address, route) for address in coming):
            continue
        first = first_of.get(route.slot)
        free = first is None or any(first.uses(index) for index in pair)
        # A request to replace hits the first route of the slot: not one of a third link, and not one just placed.
        place = replay.supplant if free and route.slot not in taken else replay.append
        taken.add(route.slot)
        yield any(hop.gateway for hop in route.nexthops), place(route, now.name)


def _placed(now: Side, should: Side) -> Iterator[tuple[bool, Request]]:
    present = {nexthop.id for nexthop in now.nexthops}
    for nexthop in should.nexthops:
        if nexthop.id not in present:
            yield True, replay.place(nexthop, now.name)


def _established(now: Side, should: Side) -> Iterator[Request]:
    present = {rule.line(now.name) for rule in now.rules}
    return (replay.establish(rule) for rule in should.rules if rule.line(should.name) not in present)


def _abolished(now: Side, should: Side) -> Iterator[Request]:
    wanted = {rule.line(should.name) for rule in should.rules}
    return (replay.abolish(rule) for rule in now.rules if rule.line(now.name) not in wanted)


def _withdrawn(now: Side, should: Side) -> Iterator[Request]:
    wanted = {route.line(should.index) for route in should.routes}
    for route in now.routes:
        if route.line(now.index) not in wanted and (should.empty or not route.drifts):
            yield replay.withdraw(route, now.name)


def _makes(address: Address, route: Route) -> bool:
    """Whether the kernel makes exactly this route by itself when it gets the address."""
    plain = route.protocol == FROM_KERNEL and route.type == UNICAST and len(route.nexthops) == 1 and not route.rest
    if not plain or not address.makes_route or route.nexthops[0].gateway or route.family != address.family:
        return False
    metric = address.metric or (IPV6_METRIC if address.family == IPV6 else 0)
    source = address.local if address.family == IPV4 else ""
    return (route.destination, route.metric, route.source) == (address.network, metric, source)
