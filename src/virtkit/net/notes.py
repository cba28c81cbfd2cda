"""What the reader of a plan should know before saying yes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net import refusals, session, ties
from virtkit.net.model import FOREVER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.net.model import Network
    from virtkit.net.standing import Side

UNTIL_REBOOT = "lasts until the next reboot: the configuration files of this host are not changed"


def about_move(system: System, network: Network, side: Side, target: str) -> Iterator[str]:
    """``side`` is what gives its addresses and routes to the link ``target``."""
    if side.addresses:
        yield f"moves from {side.name} to {target}: {', '.join(address.text for address in side.addresses)}"
    if side.routes:
        yield f"routes that move: {', '.join(route.text for route in side.routes)}"
    if any(route.destination == "default" for route in side.routes):
        yield f"the default route goes over {side.name}; it moves in the same instant, and connections stay"
    for upper in refusals.stacked(network, network.by_name[side.name]):
        yield f"{upper.name} ({upper.kind}) stays on {side.name} and goes on working; its frames do not reach {target}"
    yield from _session(system, network, side)
    yield from _leases(side)
    yield from ties.found(system, network, network.by_name[side.name], target)


def _session(system: System, network: Network, side: Side) -> Iterator[str]:
    found = session.find(system)
    if found is None:
        return
    yours = f"your SSH session from {found.client.address}"
    if found.scope == side.name:
        yield f"{yours} uses the link-local address of {side.name}, which does not move: come in by another address"
    elif found.over(side):
        yield f"{yours} goes over {side.name}; it stays connected"
    elif any(address.local == found.server.address for address in network.addresses):
        yield f"{yours} does not go over {side.name}: it is not at risk"


def _leases(side: Side) -> Iterator[str]:
    for address in side.addresses:
        if address.valid != FOREVER and not address.drifts:
            yield f"{address.text} is a lease that ends in {address.valid} s unless a DHCP client renews it"
