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


NO_CARD = "a card by another MAC address? see virtkit net show, then virtkit net bridge port add"


class LonelyBridge:
    title = "does the bridge still have a way out?"

    def find(self, scene: Scene) -> Iterator[Finding]:
        for bridge in scene.bridges:
            if uplinks := scene.uplinks(bridge):
                yield from _dead(bridge, uplinks)
            elif scene.leads_on(bridge):
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
    alike = [link for link in scene.network.links if link.mac == bridge.mac and link.index != bridge.index]
    return next((link for link in alike if not (link.master or scene.addresses(link))), None)


def _finding(bridge: Link, card: Link | None) -> Finding:
    found = f"; {card.name} has its MAC address {card.mac} and is nobody's port" if card else ""
    return Finding(
        "lonely_bridge",
        bridge.name,
        Harm.MUTE,
        seen=f"the default route leads over {bridge.name}, and no port of it leads out{found}",
        why="neither guests nor the host get beyond the bridge",
        mend=(JoinBridge(card.name, bridge.name, [], []),) if card else (),
        advice=f"then name {card.name} where the bridge is configured: the old name is gone" if card else NO_CARD,
    )


CHECK = LonelyBridge()
