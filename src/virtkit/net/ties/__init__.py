"""What is tied to a link by its name or its number and does not move with its addresses: a line each, for the plan.

A file is a kind of tie; each tells who owns it, as far as the host lets that be known, and what to do about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net.ties import files, firewalls, groups, queues, sockets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.net.model import Link, Network


def found(system: System, network: Network, link: Link, target: str) -> Iterator[str]:
    """``target`` is the link that the addresses move to."""
    yield from sockets.found(system, link)
    yield from groups.found(system, link)
    yield from queues.found(network, link)
    yield from firewalls.found(system, link, target)
    yield from files.found(system, link, target)
