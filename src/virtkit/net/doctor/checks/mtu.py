"""A bridge drops frames that are longer than the port they go out by, and tells nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net.actions import SetLink
from virtkit.net.doctor.finding import Finding, Harm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.doctor.scene import Scene


class Mtu:
    title = "do all ports take frames as long as the bridge sends them?"

    def find(self, scene: Scene) -> Iterator[Finding]:
        for bridge in scene.bridges:
            ports = scene.ports(bridge)
            largest = max([bridge.mtu, *(port.mtu for port in ports)])
            smaller = [port for port in ports if port.mtu < largest]
            if not smaller:
                continue
            ours = [port for port in smaller if port not in scene.uplinks(bridge)]
            yield Finding(
                "mtu",
                bridge.name,
                Harm.MUTE,
                seen=f"MTU of {bridge.name} is {bridge.mtu}, of "
                + ", ".join(f"{port.name} {port.mtu}" for port in ports),
                why=f"frames of more than {min(port.mtu for port in smaller)} bytes are dropped without a word: pings "
                "pass, transfers hang",
                mend=tuple(SetLink(port.name, "mtu", str(largest)) for port in ours),
                advice=f"inside, the guest's card wants {largest}, too"
                if len(ours) == len(smaller)
                else "a card's MTU is its LAN's: set the larger ones to the LAN's",
            )


CHECK = Mtu()
