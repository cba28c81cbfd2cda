"""bridge-nf-call-iptables and a FORWARD chain that drops: Docker's and firewalld's gift to bridged guests.

Source: Documentation/networking/bridge.rst (netfilter), docs.docker.com "Packet filtering and firewalls". ARP passes,
so the guest looks half alive. The setting per bridge does not override the one for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net.actions import AcceptBridged
from virtkit.net.doctor.finding import Finding, Harm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.doctor.scene import Scene
    from virtkit.net.firewall import Forwarding
    from virtkit.net.model import Link

SETTINGS = {"iptables": "bridge-nf-call-iptables", "ip6tables": "bridge-nf-call-ip6tables"}


class BridgeFilter:
    title = "does the host's firewall drop what a bridge forwards?"

    def find(self, scene: Scene) -> Iterator[Finding]:
        for bridge in scene.bridges:
            if not scene.ports(bridge):
                continue
            dropping = [found for found in scene.filters if _applies(scene, found) and not found.accepts(bridge.name)]
            if dropping:
                yield _finding(bridge, dropping)


def _applies(scene: Scene, found: Forwarding) -> bool:
    name = SETTINGS[found.program.removesuffix("-legacy")]
    return scene.system.read_or(f"/proc/sys/net/bridge/{name}", "0") == "1"


def _finding(bridge: Link, dropping: list[Forwarding]) -> Finding:
    programs = " and ".join(found.program for found in dropping)
    policy = dropping[0].policy
    whose = ", as Docker leaves it" if any(found.docker for found in dropping) else ""
    return Finding(
        "bridge_filter",
        bridge.name,
        Harm.MUTE,
        seen=f"net.bridge.bridge-nf-call-iptables is 1, and {programs} FORWARD ends in {policy}{whose}",
        why="what guests send over the bridge goes through that chain as if it were routed: ARP passes, IP is dropped",
        mend=tuple(AcceptBridged(found.program, found.chain, bridge.name) for found in dropping),
        advice="to let no bridge pass the firewall at all: sysctl -w net.bridge.bridge-nf-call-iptables=0",
        caution="the rule is gone when the firewall is loaded anew (reboot, firewall-cmd --reload): mend again then",
    )


CHECK = BridgeFilter()
