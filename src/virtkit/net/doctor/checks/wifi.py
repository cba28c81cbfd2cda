"""An access point takes frames from its stations' own MAC addresses alone (IEEE 802.11, three-address frames)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net.doctor.finding import Finding, Harm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.doctor.scene import Scene


class Wifi:
    title = "is a Wi-Fi card a port of a bridge?"

    def find(self, scene: Scene) -> Iterator[Finding]:
        for bridge in scene.bridges:
            for port in scene.ports(bridge):
                if scene.system.exists(f"/sys/class/net/{port.name}/phy80211"):
                    yield Finding(
                        "wifi",
                        port.name,
                        Harm.MUTE,
                        seen=f"{port.name} is Wi-Fi and a port of {bridge.name}",
                        why="the access point drops every frame that carries a guest's MAC address",
                        advice="use a NAT network (virsh net-start default), or a card with a cable",
                    )


CHECK = Wifi()
