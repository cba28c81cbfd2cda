"""A port with an address: the kernel gives its frames to the bridge, and the address gets none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net import standing
from virtkit.net.actions import JoinBridge
from virtkit.net.doctor.finding import Finding, Harm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.doctor.scene import Scene
    from virtkit.net.model import Link


class PortAddress:
    title = "does a port hold an address that belongs on its bridge?"

    def find(self, scene: Scene) -> Iterator[Finding]:
        for bridge in scene.bridges:
            for port in scene.ports(bridge):
                if scene.addresses(port):
                    yield _finding(scene, bridge, port)


def _finding(scene: Scene, bridge: Link, port: Link) -> Finding:
    side = standing.side_of(scene.network, port.name)
    held = ", ".join(address.text for address in side.addresses)
    taken = {address.network for address in scene.addresses(bridge)}
    double = [address.text for address in side.addresses if address.network in taken]
    lasting = f"make it last: nothing of layer 3 in the configuration of {port.name}"
    return Finding(
        "port_address",
        port.name,
        Harm.MUTE,
        seen=f"{port.name} is a port of {bridge.name} and holds {held}",
        why="frames for it are the bridge's: the address answers by chance, and guests do not reach the host by it",
        mend=() if double else (JoinBridge(port.name, bridge.name, side.address_lines(), side.route_lines()),),
        advice=f"{bridge.name} has one of the same network: ip address del {double[0]} dev {port.name}"
        if double
        else lasting,
    )


CHECK = PortAddress()
