"""Queues and filters of tc(8): they stay on the port, and from then on also meet what the machines send and get."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.model import Link, Network

AT_INGRESS = {"ingress", "clsact"}


def found(network: Network, link: Link) -> Iterator[str]:
    for queue in network.queues:
        if queue.index != link.index or not queue.handle:  # the kernel's own have no number
            continue
        if queue.kind in AT_INGRESS:
            yield f"tc {queue.kind} stays on {link.name}: its filters see the frames of machines, too (tc filter show)"
        else:
            name = f"tc {queue.kind} {queue.handle >> 16:x}:"
            yield f"{name} stays on {link.name}: machines' frames share it with the host's (tc qdisc show)"
