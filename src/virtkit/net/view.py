"""Links as a person looks at them: addresses, bridge or ports, where it leads, how much went through, whose it is."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import SystemCallError
from virtkit.core.system import System
from virtkit.net import ownership, provenance, refusals
from virtkit.net.holders import holders
from virtkit.net.kernel import Kernel
from virtkit.net.model import LOOPBACK, MAIN_TABLE, PORT_STATES, SCOPES

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.net.backend import Owner
    from virtkit.net.holders import Holder
    from virtkit.net.model import Address, Link, Network, Route

TAPS = {"tun", "macvtap"}


class Traffic(NamedTuple):
    """One way, since the link was made, from the host's side: what a machine sends, its tap receives."""

    bytes: int
    packets: int
    errors: int
    dropped: int


class Counters(NamedTuple):
    rx: Traffic
    tx: Traffic


class View(NamedTuple):
    link: Link
    kind: str  # "ethernet" and "loopback" where the kernel has no word for it
    addresses: tuple[Address, ...]
    routes: tuple[Route, ...]  # without those that the kernel makes for every link
    master: str
    ports: tuple[str, ...]
    lower: str  # the link that it stands on: a VLAN's card; empty: none, or in another network namespace
    port_state: str  # of a bridge's port: ``forwarding``, or why nothing passes; empty: it is none
    speed: int  # Mbit/s; 0: it has none, or no carrier
    counters: Counters
    owner: Owner | None  # who configures it
    ours: bool  # virtkit made it
    holder: Holder | None  # of a tap

    @property
    def gateways(self) -> list[str]:
        default = [route for route in self.routes if route.destination == "default" and route.table == MAIN_TABLE]
        return [hop.gateway for route in default for hop in route.nexthops if hop.index == self.link.index]

    def data(self) -> dict[str, Json]:
        """Keys as in ``ip -json`` where it has the same thing."""
        link = self.link
        bridge: Json = {"stp": link.bridge.stp, "forward_delay": link.bridge.forward_delay} if link.bridge else None
        return {
            "ifindex": link.index,
            "ifname": link.name,
            "kind": self.kind,
            "operstate": link.state,
            "up": link.up,
            "address": link.mac,
            "mtu": link.mtu,
            "master": self.master or None,
            "port_state": self.port_state or None,
            "speed": self.speed or None,
            "ports": list(self.ports),
            "bridge": bridge,
            "made_by_virtkit": self.ours,
            "addresses": [_address(address) for address in self.addresses],
            "routes": [route.line(link.index) for route in self.routes],
            "gateways": [*self.gateways],
            "link": self.lower or None,
            "link_elsewhere": link.elsewhere,
            "stats64": {"rx": self.counters.rx._asdict(), "tx": self.counters.tx._asdict()},
            "owner": _owner(self.owner) if self.owner else None,
            "holder": self.holder._asdict() if self.holder else None,
        }


def show(name: str | None = None, system: System | None = None) -> list[View]:
    """All links in the kernel's order, or the one of this ``name``; NotFoundError."""
    system = system or System()
    with Kernel() as kernel:
        network = kernel.network()
    links = [refusals.port_link(network, name)] if name else network.links
    held = holders(system) if any(link.kind in TAPS for link in links) else {}
    return [_view(system, network, link, held.get(link.name)) for link in links]


def _view(system: System, network: Network, link: Link, holder: Holder | None) -> View:
    master = network.by_index.get(link.master)
    lower = None if link.elsewhere or link.kind == "veth" else network.by_index.get(link.lower)
    own = link.kind in TAPS or bool(link.flags & LOOPBACK)
    return View(
        link,
        link.kind or ("loopback" if link.flags & LOOPBACK else "ethernet"),
        tuple(network.addresses_of(link)),
        tuple(route for route in network.routes_of(link) if not route.automatic),
        master.name if master else "",
        tuple(port.name for port in network.ports(link)),
        lower.name if lower else "",
        PORT_STATES.get(system.read_or(f"/sys/class/net/{link.name}/brport/state", ""), ""),
        max(0, _number(system, link, "speed")),  # -1: not known
        Counters(_traffic(system, link, "rx"), _traffic(system, link, "tx")),
        None if own else ownership.find(system, link.name),
        provenance.made_here(system, link),
        holder,
    )


def _traffic(system: System, link: Link, way: str) -> Traffic:
    """Documentation/ABI/testing/sysfs-class-net-statistics."""
    return Traffic(*(_number(system, link, f"statistics/{way}_{what}") for what in Traffic._fields))


def _number(system: System, link: Link, attribute: str) -> int:
    """0 where the kernel does not say: a link without carrier refuses to tell its speed."""
    with suppress(SystemCallError, ValueError):
        return int(system.read_or(f"/sys/class/net/{link.name}/{attribute}", "0"))
    return 0


def _owner(owner: Owner) -> dict[str, Json]:
    return {
        "backend": owner.backend,
        "files": [*owner.files],
        "because": owner.because,
        "writer": owner.writer or None,
    }


def _address(address: Address) -> dict[str, Json]:
    return {
        "local": address.local,
        "prefixlen": address.prefix_length,
        "scope": SCOPES.get(address.scope, str(address.scope)),
        "label": address.label or None,
        "valid_life_time": address.valid,
        "preferred_life_time": address.preferred,
    }
