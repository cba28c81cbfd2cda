"""A daemon that takes a link over sets anew what it finds, and forgets what it has no field for.

Seen with systemd-networkd 252: a route's MTU and the metric of a DHCP address's network are gone after it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from virtkit.net import replay, standing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.kernel import Kernel
    from virtkit.net.model import Address
    from virtkit.net.requests import Request
    from virtkit.net.standing import Side

ROUNDS = 4  # of two routes with one destination the kernel deletes the first one, which may be the right one


def mend(kernel: Kernel, before: Side) -> None:
    """What the link still has of ``before`` is again as it was; what came or went since stays so."""
    for _ in range(ROUNDS):
        now = standing.side_of(kernel.network(), before.name)
        requests = [*_addresses(before, now), *_routes(before, now)]
        if not requests:
            return
        kernel.transaction(requests)


def _addresses(before: Side, now: Side) -> Iterator[Request]:
    there = {_identity(address): address for address in now.addresses}
    for address in before.addresses:
        twin = there.get(_identity(address))
        if twin and not address.drifts and twin.line(now.name) != address.line(now.name):
            yield replay.add(replace(address, preferred=twin.preferred, valid=twin.valid), now.name, at_once=False)


def _routes(before: Side, now: Side) -> Iterator[Request]:
    was = {route.line(before.index): route for route in before.routes if not route.drifts}
    has = {route.line(now.index): route for route in now.routes if not route.drifts}
    extra = {route.slot: route for line, route in has.items() if line not in was}
    lacking = {route.slot: route for line, route in was.items() if line not in has}
    known = {route.slot for route in was.values()}
    for slot, route in extra.items():
        if slot in lacking:
            yield replay.supplant(lacking[slot], now.name)
        elif slot in known:
            yield replay.withdraw(route, now.name)


def _identity(address: Address) -> tuple[str, int, str]:
    return address.local, address.prefix_length, address.peer
