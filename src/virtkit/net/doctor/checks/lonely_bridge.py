"""A bridge that leads nowhere: its port was renamed (another slot, another kernel), pulled out, or is down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net.actions import JoinBridge, SetLink
from virtkit.net.doctor.finding import Finding, Harm
from virtkit.net.model import LOWER_UP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.doctor.scene import Scene
    from virtkit.net.model import Link


class LonelyBridge:
    title = "does the bridge still have a way out?"

    def find(self, scene: Scene) -> Iterator[Finding]:
        for bridge in scene.bridges:
            uplinks = [port for port in scene.ports(bridge) if scene.leads_out(port)]
            if uplinks:
                yield from _dead(bridge, uplinks)
            elif any(route.destination == "default" for route in scene.network.routes_of(bridge)):
                yield _finding(bridge, _lost(scene, bridge))


def _dead(bridge: Link, uplinks: list[Link]) -> Iterator[Finding]:
    if any(port.up and port.flags & LOWER_UP for port in uplinks):
        return
    down = [port for port in uplinks if not port.up]
    names = ", ".join(port.name for port in uplinks)
    yield Finding(
        "lonely_bridge",
        bridge.name,
        Harm.MUTE,
        seen=f"{names}: {'is down' if down else 'has no carrier'}",
        why=f"{bridge.name} has no other way out",
        mend=tuple(SetLink(port.name, "state", "up") for port in down),
        advice="" if down else "cable, switch port, or the other end",
    )


def _lost(scene: Scene, bridge: Link) -> Link | None:
    """The card that was its port once: the bridge still bears its MAC address."""
    free = [link for link in scene.network.links if scene.leads_out(link) and not link.master]
    return next((link for link in free if link.mac == bridge.mac and not scene.addresses(link)), None)


def _finding(bridge: Link, card: Link | None) -> Finding:
    found = f"; {card.name} has its MAC address {card.mac} and is nobody's port" if card else ""
    return Finding(
        "lonely_bridge",
        bridge.name,
        Harm.MUTE,
        seen=f"the default route leads over {bridge.name}, and no port of it leads out{found}",
        why="neither guests nor the host get beyond the bridge",
        mend=(JoinBridge(card.name, bridge.name, [], []),) if card else (),
        advice=f"then name {card.name} where the bridge is configured: the old name is gone" if card else "ip -d link",
    )


CHECK = LonelyBridge()
