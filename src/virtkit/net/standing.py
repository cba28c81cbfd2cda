"""How a port and its bridge stand to each other: who is up, who belongs to whom, who holds which addresses and routes.

It is captured before a change and after it, kept in the journal, and what undo brings back.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from virtkit.core.errors import NetworkError
from virtkit.net import decode, replay
from virtkit.net.model import FROM_KERNEL
from virtkit.net.replay import address_on, route_on, second_choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.plan import Json
    from virtkit.net.model import Address, Network, NexthopObject, Route, Rule, Slot

UNKNOWN = -1


@dataclass(frozen=True)
class Side:
    """A link and what it holds, without what the kernel makes for every link by itself."""

    name: str
    index: int = 0  # 0: there is no such link
    up: bool = False
    master: str = ""
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    nexthops: tuple[NexthopObject, ...] = ()
    source_check: int = UNKNOWN  # rp_filter, which is loose while a port changes hands

    @property
    def empty(self) -> bool:
        return not (self.addresses or self.routes or self.rules or self.nexthops)

    def address_lines(self) -> list[str]:
        """For comparing over time: without what comes and goes with a router's advertisements."""
        return [comparable(address).line(self.name) for address in self.addresses if not address.drifts]

    def route_lines(self) -> list[str]:
        """Sorted: between routes of different slots the order means nothing."""
        leased = {address.local for address in self.addresses if address.leased}
        routes = (replace(r, metric=0) if _of_address(r) and r.source in leased else r for r in self.routes)
        return sorted(route.line(self.index) for route in routes if not route.drifts)

    def policy_lines(self) -> list[str]:
        """Policy rules and nexthop objects."""
        return [*(rule.line(self.name) for rule in self.rules), *(nexthop.line for nexthop in self.nexthops)]

    def lines(self) -> list[str]:
        return [*self.address_lines(), *self.route_lines(), *self.policy_lines()]

    def at(self, index: int) -> Side:
        """The same after the link was made anew, and got another index."""
        addresses = tuple(address_on(address, self.name, self.name, index) for address in self.addresses)
        routes = tuple(route_on(route, self.index, index) for route in self.routes)
        nexthops = tuple(replay.nexthop_on(nexthop, index) for nexthop in self.nexthops)
        return replace(self, index=index, addresses=addresses, routes=routes, nexthops=nexthops)

    def without_holdings(self) -> Side:
        return Side(self.name, self.index, self.up, self.master, source_check=self.source_check)

    def data(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "index": self.index,
            "up": self.up,
            "master": self.master,
            "addresses": [b64encode(address.raw).decode() for address in self.addresses],
            "routes": [b64encode(route.raw).decode() for route in self.routes],
            "rules": [b64encode(rule.raw).decode() for rule in self.rules],
            "nexthops": [b64encode(nexthop.raw).decode() for nexthop in self.nexthops],
            "source_check": self.source_check,
        }


@dataclass(frozen=True)
class Standing:
    port: Side
    bridge: Side
    others: tuple[str, ...] = ()  # further ports of the bridge: machines, most of the time

    @property
    def joined(self) -> bool:
        return self.port.master == self.bridge.name

    def bridged(self) -> Standing:
        """As it should be: the port belongs to the bridge, and the bridge holds what the port held."""
        port = replace(self.port.without_holdings(), up=True, master=self.bridge.name)
        return replace(self, port=port, bridge=_joined(self.bridge, self.port))

    def released(self) -> Standing:
        """The reverse: the port stands alone and holds what the bridge held."""
        port = replace(_joined(self.port, self.bridge), up=True, master="")
        return replace(self, port=port, bridge=self.bridge.without_holdings())

    def resumed(self, now: Standing) -> Standing:
        """An earlier standing, as it can be brought back ``now``.

        The links may have got other indexes since. What routers advertised is as old as it is now.
        """
        port = _resumed(self.port, now.port, now.bridge)
        return Standing(port, _resumed(self.bridge, now.bridge, now.port), self.others)

    def data(self) -> dict[str, Json]:
        return {"port": self.port.data(), "bridge": self.bridge.data(), "others": list(self.others)}

    def lines(self) -> dict[str, Json]:
        """What only a person or another program changes, readable."""
        port = ["up" if self.port.up else "down", f"port of {self.port.master}" if self.port.master else "no port"]
        return {
            self.port.name: [*port, *self.port.lines()],
            self.bridge.name: [*self.bridge.lines(), *self.others],
        }


def comparable(address: Address) -> Address:
    """A lease's without the metric of its network: some DHCP clients set it, and forget it when they renew.

    Seen with systemd-networkd 252 after it took over an address that was there.
    """
    return replace(address, metric=0) if address.leased else address


def read(network: Network, port: str, bridge: str) -> Standing:
    side = side_of(network, bridge)
    others = [] if not side.index else [p.name for p in network.ports(network.by_name[bridge]) if p.name != port]
    return Standing(side_of(network, port), side, tuple(sorted(others)))


def side_of(network: Network, name: str) -> Side:
    link = network.by_name.get(name)
    if link is None:
        return Side(name)
    master = network.by_index.get(link.master)
    return Side(
        name,
        link.index,
        link.up,
        master.name if master else "",
        tuple(address for address in network.addresses_of(link) if not address.automatic),
        tuple(route for route in network.routes_of(link) if not route.automatic and not route.nexthop_object),
        tuple(network.rules_of(link)),
        tuple(network.nexthops_of(link)),
        network.source_checks.get(link.index, UNKNOWN),
    )


def load(state: Json) -> Standing:
    """What ``Standing.data`` wrote down."""
    record = _record(state)
    return Standing(load_side(record["port"]), load_side(record["bridge"]), tuple(_texts(record["others"])))


def load_side(state: Json) -> Side:
    record = _record(state)
    return Side(
        str(record["name"]),
        int(str(record["index"])),
        record["up"] is True,
        str(record["master"]),
        tuple(decode.address(b64decode(text)) for text in _texts(record["addresses"])),
        tuple(decode.route(b64decode(text)) for text in _texts(record["routes"])),
        tuple(decode.rule(b64decode(text)) for text in _texts(record.get("rules", []))),
        tuple(decode.nexthop_object(b64decode(text)) for text in _texts(record.get("nexthops", []))),
        int(str(record.get("source_check", UNKNOWN))),
    )


def _joined(side: Side, other: Side) -> Side:
    """``side`` with what ``other`` holds too."""
    addresses = [address_on(address, other.name, side.name, side.index) for address in other.addresses]
    routes = [route_on(route, other.index, side.index) for route in _repeatable(other.routes)]
    return replace(
        side,
        addresses=(*side.addresses, *addresses),
        routes=(*side.routes, *routes),
        rules=(*side.rules, *(replay.rule_on(rule, other.name, side.name) for rule in other.rules)),
        nexthops=(*side.nexthops, *(replay.nexthop_on(nexthop, side.index) for nexthop in other.nexthops)),
    )


def _resumed(saved: Side, now: Side, other: Side) -> Side:
    """``saved`` on the link that ``now`` is; what was advertised only as far as either side still has it."""
    alive = {address.local: address for address in (*other.addresses, *now.addresses)}
    led = {route.destination for route in (*other.routes, *now.routes)}
    here = {route.line(now.index) for route in now.routes}
    side = saved.at(now.index)
    addresses = (_renewed(address, alive) for address in side.addresses)
    steady = [route for route in side.routes if not route.drifts or route.line(now.index) in here]
    moved = [route for route in side.routes if route not in steady and route.destination in led]
    return replace(side, addresses=tuple(filter(None, addresses)), routes=(*steady, *_repeatable(tuple(moved))))


def _renewed(address: Address, alive: dict[str, Address]) -> Address | None:
    """An advertised address lives as long as the last advertisement said; None: no longer."""
    if not address.drifts:
        return address
    last = alive.get(address.local)
    return replace(address, preferred=last.preferred, valid=last.valid) if last else None


def _repeatable(routes: tuple[Route, ...]) -> list[Route]:
    """Advertised routes as second choice, and of several with one destination the first.

    A route that the kernel is told is not one that it has learned. In the place of a learned one it would make the
    kernel drop the next advertisement whole, with the lifetimes of the addresses (ndisc_router_discovery), and be
    merged with its neighbours into a multipath route. So it serves until the next advertisement, then expires.
    One that does not expire was not learned by the kernel but set by NetworkManager, which listens to routers itself.
    """
    kept: dict[Slot, Route] = {}
    learned = [route for route in routes if route.advertised and route.expires]
    for route in learned:
        kept.setdefault(route.slot, second_choice(route))
    return [*(route for route in routes if route not in learned), *kept.values()]


def _of_address(route: Route) -> bool:
    """The kernel's own, to the network of an address."""
    return route.protocol == FROM_KERNEL and not any(hop.gateway for hop in route.nexthops)


def _record(state: Json) -> dict[str, Json]:
    if not isinstance(state, dict):
        raise NetworkError(f"journal: state is {type(state).__name__}, expected a record")
    return state


def _texts(state: Json) -> Sequence[str]:
    if not isinstance(state, list):
        raise NetworkError(f"journal: field is {type(state).__name__}, expected a list")
    return [str(text) for text in state]
