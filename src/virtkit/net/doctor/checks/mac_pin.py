"""A bridge without a MAC address of its own takes the lowest of its ports': it changes when a machine starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net.actions import SetLink
from virtkit.net.bridge import stable_mac
from virtkit.net.doctor.finding import Finding, Harm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.doctor.scene import Scene
    from virtkit.net.model import Link

NONE = "00:00:00:00:00:00"
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
                    mend=(SetLink(bridge.name, "mac", _lasting(scene, bridge)),),
                    caution=f"{bridge.name}: undo leaves the MAC address set, the kernel has no way back from that",
                    advice="make it last where the bridge is configured (MACADDR=, macaddress:, bridge_hw)",
                )


def _lasting(scene: Scene, bridge: Link) -> str:
    """The one that it has, or of its own: without ports the kernel shows none."""
    own = stable_mac(scene.system.read_or("/etc/machine-id", ""), bridge.name)
    return own if bridge.mac == NONE else bridge.mac


CHECK = MacPin()
