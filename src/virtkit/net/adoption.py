"""A bridge that somebody else made, and that is to get a host's link: whether that can be, and what makes it fit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError
from virtkit.net import ownership, standing
from virtkit.net.actions import SetLink
from virtkit.net.machines import ENDS

if TYPE_CHECKING:
    from virtkit.core.plan import Action
    from virtkit.core.system import System
    from virtkit.net.model import Link, Network

LIBVIRT_NETWORKS = "/etc/libvirt/qemu/networks"


def check(system: System, network: Network, bridge: Link, port: Link) -> None:
    """BusyError where the bridge has a purpose already that the port's addresses, or its network, would not fit."""
    if bridge.kind != "bridge":
        raise BusyError(f"{bridge.name}: is {bridge.kind or 'a device'} already, expected a free name or a bridge")
    if bridge.master:
        raise BusyError(f"{bridge.name}: is a port of {network.by_index[bridge.master].name}, expected a free bridge")
    maker = maker_of(system, bridge)
    side = standing.side_of(network, bridge.name)
    if not side.empty:
        held = ", ".join(address.text for address in side.addresses) or "routes"
        reason = f"{bridge.name}: holds {held} of its own" + (f" ({maker})" if maker else "")
        raise BusyError(f"{reason}, expected a bridge without addresses", hint="take another name: virtkit net show")
    if maker:
        raise BusyError(f"{bridge.name}: belongs to {maker}, which may change it at any time, expected a free bridge")
    uplinks = [found.name for found in uplinks_of(network, bridge) if found.index != port.index]
    if uplinks and not (bridge.bridge and bridge.bridge.stp):
        reason = f"{bridge.name}: has {', '.join(uplinks)}, and {port.name} beside it may close a loop without STP"
        raise BusyError(reason, hint=f"a bridge of its own: virtkit net bridge create br1 --port {port.name}")


def maker_of(system: System, bridge: Link) -> str:
    """Who made the bridge for a purpose of its own, as far as it can be known; empty: nobody known, or virtkit."""
    for file in system.names(LIBVIRT_NETWORKS):
        text = system.read_or(f"{LIBVIRT_NETWORKS}/{file}", "") if file.endswith(".xml") else ""
        if re.search(rf"<bridge [^>]*name=[\"']{re.escape(bridge.name)}[\"']", text):
            return f"libvirt's network {file.removesuffix('.xml')}"
    if bridge.name == "docker0" or re.fullmatch(r"br-[0-9a-f]{12}", bridge.name):
        return "Docker"
    owner = ownership.find(system, bridge.name)
    if owner:
        return f"{ownership.load(owner.backend).title}: {owner.because}"
    return ""


def fitting(bridge: Link, port: Link) -> list[Action]:
    """The bridge gets the port's MAC and MTU, which its addresses and their lease were given to; and it is up."""
    wanted = (
        ("mac", bridge.mac, port.mac),
        ("mtu", str(bridge.mtu), str(port.mtu)),
        ("state", "up" if bridge.up else "down", "up"),
    )
    return [SetLink(bridge.name, name, value) for name, found, value in wanted if found != value]


def uplinks_of(network: Network, bridge: Link) -> list[Link]:
    """The ports that lead to a network, not to machines."""
    return [port for port in network.ports(bridge) if port.kind not in ENDS or port.mac == bridge.mac]


def silence(bridge: Link) -> float:
    """Seconds that a new port of the bridge passes nothing."""
    return bridge.bridge.silence if bridge.bridge else 0.0
