"""A bridge without a MAC address of its own takes the lowest of its ports': it changes when a machine starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net.actions import SetLink
from virtkit.net.doctor.finding import Finding, Harm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.doctor.scene import Scene

SET = "3"  # NET_ADDR_SET in include/uapi/linux/netdevice.h: somebody chose it


class MacPin:
    title = "will the bridge's MAC address change with its ports?"

    def find(self, scene: Scene) -> Iterator[Finding]:
        for bridge in scene.bridges:
            kind = scene.attribute(bridge, "addr_assign_type")
            if scene.addresses(bridge) and kind and kind != SET:
                yield Finding(
                    "mac_pin",
                    bridge.name,
                    Harm.WILL,
                    seen=f"MAC address {bridge.mac} was not set by anybody (addr_assign_type {kind})",
                    why="a port with a lower one changes it: neighbours lose the host for a while, and DHCP gives it "
                    "another address",
                    mend=(SetLink(bridge.name, "mac", bridge.mac),),
                    caution=f"{bridge.name}: undo leaves the MAC address set, the kernel has no way back from that",
                    advice="make it last where the bridge is configured (MACADDR=, macaddress:, bridge_hw)",
                )


CHECK = MacPin()
