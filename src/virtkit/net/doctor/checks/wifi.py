"""An access point takes frames from its stations' own MAC addresses alone (IEEE 802.11, three-address frames).

The kernel refuses a station as port of a bridge; it takes an access point's own link, and a station with four-address
frames (net/wireless/core.c, IFF_DONT_BRIDGE). A macvtap on a station is refused by nobody, and its guest is mute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net.doctor.finding import Finding, Harm
from virtkit.net.refusals import WITHOUT_BRIDGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.doctor.scene import Scene
    from virtkit.net.model import Link

WHY = "an access point drops every frame that carries a guest's MAC address"


class Wifi:
    title = "does a guest's way lead over Wi-Fi?"

    def find(self, scene: Scene) -> Iterator[Finding]:
        links = scene.network.links
        for port in (link for link in links if link.master and scene.is_wifi(link)):
            bridge = scene.network.by_index[port.master]
            advice = f"as an access point of this host's own it is fine; else use {WITHOUT_BRIDGE}"
            yield _finding(port, Harm.RISK, f"{port.name} is Wi-Fi and a port of {bridge.name}", advice)
        for tap in (link for link in links if link.kind == "macvtap" and not link.elsewhere):
            card = scene.network.by_index.get(tap.lower)
            if card and scene.is_wifi(card):
                yield _finding(
                    tap, Harm.MUTE, f"{tap.name} stands on {card.name}, which is Wi-Fi", f"use {WITHOUT_BRIDGE}"
                )


def _finding(link: Link, harm: Harm, seen: str, advice: str) -> Finding:
    return Finding("wifi", link.name, harm, seen, WHY, advice=advice)


CHECK = Wifi()
