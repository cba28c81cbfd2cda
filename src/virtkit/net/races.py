"""Somebody else works on the same links: a daemon puts an address back, takes the port out, deletes the bridge.

What counts is how the kernel stands; what it tells of changes meanwhile (rtnetlink's notifications) says who it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NetworkError
from virtkit.net import decode, processes
from virtkit.net.kernel import Monitor
from virtkit.net.model import FROM_KERNEL, IPV6, LINK_SCOPE
from virtkit.net.wire import DELADDR, DELLINK, DELROUTE, NEWADDR, NEWLINK, NEWROUTE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.core.system import System
    from virtkit.net.standing import Side, Standing
    from virtkit.net.wire import Message


class Stray(NamedTuple):
    """One thing that is not as it was left."""

    said: str
    events: tuple[int, ...]  # the notifications that tell of it
    about: str  # a link's name, an address, or a route's destination


class Culprits:
    """Who made which change, as far as can be known. For one thread, in the network namespace of the links.

    The kernel's notification says whose request a change of a route or of an IPv4 address was; of links and of IPv6
    addresses it does not, so whoever else was heard, or is known to configure networks, is suspected.
    """

    def __init__(self) -> None:
        self._monitor = Monitor()
        self._made: dict[tuple[int, str], str] = {}

    def listen(self, system: System) -> None:
        """As soon after a change as possible: a program that ends takes its name along."""
        names: dict[int, str] = {}
        for message in self._monitor.heard():
            if message.port and message.port not in names:
                names[message.port] = processes.of_netlink_port(system, message.port)
            if (subject := _subject(message)) and names.get(message.port):  # what the kernel adds has no port
                self._made[message.type, subject] = names[message.port]

    def who(self, system: System, stray: Stray) -> str:
        """`` (by dhcpcd (pid 812))``; empty where there is nobody to suspect."""
        named = (self._made.get((event, stray.about), "") for event in stray.events)
        if found := next(filter(None, named), ""):
            return f" (by {found})"
        suspects = dict.fromkeys([*self._made.values(), *processes.daemons(system)])
        return f" (perhaps by {', '.join(suspects)})" if suspects else ""


def strays(
    now: Standing, *, joins: bool, addresses: Sequence[str], routes: Sequence[str], policy: Sequence[str]
) -> Iterator[Stray]:
    """What is not as it was after the port joined its bridge, or left it. What moved is told as the lines of Side.

    A bridge that is named as its own port keeps what it holds: nothing moves.
    """
    port, bridge = now.port.name, now.bridge.name
    holder, other = (now.bridge, now.port) if joins else (now.port, now.bridge)
    if gone := [side.name for side in (holder, now.port) if not side.index]:
        yield from (Stray(f"{name} is gone", (DELLINK,), name) for name in dict.fromkeys(gone))
        return
    if port != bridge and now.port.master != (bridge if joins else ""):
        said = f"{port} is no port of {bridge} any more" if joins else f"{port} is a port of {now.port.master} again"
        yield Stray(said, (NEWLINK,), port)
    if not holder.up:
        yield Stray(f"{holder.name} is down", (NEWLINK,), holder.name)
    yield from _missing(holder, addresses, routes)
    yield from (Stray(f"{line} is not there any more", (), "") for line in policy if line not in holder.policy_lines())
    if port != bridge:
        yield from _back(other)


def _missing(holder: Side, addresses: Sequence[str], routes: Sequence[str]) -> Iterator[Stray]:
    held = [*holder.address_lines(), *holder.route_lines()]
    for line in addresses:
        if line not in held:
            local, _, _ = line.partition("/")
            yield Stray(f"address {line} is not on {holder.name} any more", (DELADDR, NEWADDR), local)
    for line in routes:
        if line not in held:
            about = next((word for word in line.split() if word == "default" or "/" in word), "")
            yield Stray(f"route {line} is not on {holder.name} any more", (DELROUTE, NEWROUTE), about)


def _back(other: Side) -> Iterator[Stray]:
    """A port holds nothing, and neither does a bridge that gave its port back.

    A link-local IPv6 address is harmless there: some daemons give one to every link.
    """
    for address in other.addresses:
        if not address.drifts and not (address.family == IPV6 and address.scope == LINK_SCOPE):
            yield Stray(f"address {address.text} is on {other.name} again", (NEWADDR,), address.local)
    for route in other.routes:
        if not route.drifts and route.protocol != FROM_KERNEL:  # which follow their addresses
            said = f"route {route.line(other.index)} is on {other.name} again"
            yield Stray(said, (NEWROUTE,), route.destination)


def _subject(message: Message) -> str:
    """Of what a notification tells; empty for one that is not understood."""
    try:
        if message.type in (NEWLINK, DELLINK):
            return decode.link(message.body).name
        if message.type in (NEWADDR, DELADDR):
            return decode.address(message.body).local
        if message.type in (NEWROUTE, DELROUTE):
            return decode.route(message.body).destination
    except NetworkError:
        pass
    return ""
