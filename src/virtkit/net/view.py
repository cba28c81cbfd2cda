"""Links as a person looks at them: each with its addresses, its bridge or ports, and where it leads."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.net import refusals
from virtkit.net.kernel import Kernel
from virtkit.net.model import LOOPBACK, MAIN_TABLE, SCOPES

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.net.model import Address, Link, Network, Route


class View(NamedTuple):
    link: Link
    kind: str  # "ethernet" and "loopback" where the kernel has no word for it
    addresses: tuple[Address, ...]
    routes: tuple[Route, ...]  # without those that the kernel makes for every link
    master: str
    ports: tuple[str, ...]

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
            "ports": list(self.ports),
            "bridge": bridge,
            "made_by_virtkit": link.ours,
            "addresses": [_address(address) for address in self.addresses],
            "routes": [route.line(link.index) for route in self.routes],
            "gateways": [*self.gateways],
        }


def show(name: str | None = None) -> list[View]:
    """All links in the kernel's order, or the one of this ``name``; NotFoundError."""
    with Kernel() as kernel:
        network = kernel.network()
    links = [refusals.port_link(network, name)] if name else network.links
    return [_view(network, link) for link in links]


def _view(network: Network, link: Link) -> View:
    master = network.by_index.get(link.master)
    return View(
        link,
        link.kind or ("loopback" if link.flags & LOOPBACK else "ethernet"),
        tuple(network.addresses_of(link)),
        tuple(route for route in network.routes_of(link) if not route.automatic),
        master.name if master else "",
        tuple(port.name for port in network.ports(link)),
    )


def _address(address: Address) -> dict[str, Json]:
    return {
        "local": address.local,
        "prefixlen": address.prefix_length,
        "scope": SCOPES.get(address.scope, str(address.scope)),
        "label": address.label or None,
        "valid_life_time": address.valid,
        "preferred_life_time": address.preferred,
    }
