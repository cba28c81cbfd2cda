"""Which ports of a bridge lead to machines and containers, and to which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net import holders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.system import System
    from virtkit.net.model import Link

ENDS = frozenset({"tun", "veth", "macvtap"})  # kinds of links that lead to machines and containers, not to a network


def machines_of(system: System, ports: Sequence[Link]) -> list[str]:
    """``vnet0 (machine web)`` for each port that a process holds or that leads elsewhere; in the ports' order."""
    held = holders.holders(system)
    return [text for port in ports if (text := _machine(port, held.get(port.name)))]


def _machine(port: Link, holder: holders.Holder | None) -> str:
    if holder:
        who = f"machine {holder.machine}" if holder.machine else f"{holder.process}, pid {holder.pid}"
        return f"{port.name} ({who})"
    return f"{port.name} ({port.kind})" if port.kind in ENDS and port.elsewhere else ""
