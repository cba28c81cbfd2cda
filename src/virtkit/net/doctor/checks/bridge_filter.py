"""bridge-nf-call-iptables and a firewall that drops what is forwarded: Docker's and firewalld's gift to bridged guests.

Source: Documentation/networking/bridge.rst (netfilter), docs.docker.com "Packet filtering and firewalls". ARP passes,
so the guest looks half alive. The setting for all and the one per bridge: one is enough (br_netfilter_hooks.c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net import firewalld
from virtkit.net.actions import AcceptBridged, SetZone
from virtkit.net.doctor.finding import Finding, Harm
from virtkit.net.model import IPV4, IPV6

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.plan import Action
    from virtkit.net.doctor.scene import Scene
    from virtkit.net.firewall.rules import Filter
    from virtkit.net.model import Link

PROGRAMS = {IPV4: "iptables", IPV6: "ip6tables"}  # as the settings are named; nft's chains are called as well
GONE = "the rule is gone when the firewall is loaded anew (reboot, restart of its service): mend again then"


class BridgeFilter:
    title = "does the host's firewall drop what a bridge forwards?"

    def find(self, scene: Scene) -> Iterator[Finding]:
        for bridge in scene.bridges:
            called = _called(scene, bridge) if scene.ports(bridge) else {}
            asked = [found for found in scene.filters if called.keys() & {*found.families}] if called else []
            if dropping := [found for found in asked if found.drops(bridge.name)]:
                families = {family for found in dropping for family in found.families}
                yield _finding(scene, bridge, [name for family, name in called.items() if family in families], dropping)


def _called(scene: Scene, bridge: Link) -> dict[int, str]:
    """By family the setting that has the firewall called for what is bridged."""
    found = {}
    for family, program in PROGRAMS.items():
        if scene.attribute(bridge, f"bridge/nf_call_{program}") == "1":
            found[family] = f"nf_call_{program} of {bridge.name}"
        if scene.system.read_or(f"/proc/sys/net/bridge/bridge-nf-call-{program}", "0") == "1":
            found[family] = f"net.bridge.bridge-nf-call-{program}"
    return found


def _finding(scene: Scene, bridge: Link, called: list[str], dropping: list[Filter]) -> Finding:
    shown = " and ".join(f"{found.program} {found.name}" for found in dropping)
    makers = sorted({found.maker for found in dropping} - {""})
    whose = f", as {' and '.join(makers)} left it" if makers else ""
    mend = [step for found in dropping if (step := _mend(scene, found, bridge.name))]
    return Finding(
        "bridge_filter",
        bridge.name,
        Harm.MUTE,
        seen=f"{' and '.join(called)}: 1, and {shown} drops what {bridge.name} forwards{whose}",
        why="what guests send over the bridge goes through the host's firewall as if it were routed: ARP passes, IP is "
        "dropped",
        mend=tuple(dict.fromkeys(mend)),
        advice=_advice(scene, bridge.name, mend),
        caution=GONE,
    )


def _mend(scene: Scene, found: Filter, bridge: str) -> Action | None:
    """A firewalld forwards within a zone (1.0 and later), but not for links that are in none by name."""
    if found.maker != "firewalld" or not firewalld.runs(scene.system):
        return AcceptBridged(found.program, found.place, bridge)
    zone = firewalld.zone(scene.system, bridge)
    return None if zone else SetZone(bridge, firewalld.default_zone(scene.system))


def _advice(scene: Scene, bridge: str, mend: list[Action]) -> str:
    zones = [step.zone for step in mend if isinstance(step, SetZone)]
    if zones:
        return f"make it last: firewall-cmd --permanent --zone={zones[0]} --change-interface={bridge}"
    if not mend:
        zone = firewalld.zone(scene.system, bridge)
        return f"let its zone forward within itself: firewall-cmd --zone={zone} --add-forward (and again, --permanent)"
    return "to let no bridge pass the firewall at all: sysctl -w net.bridge.bridge-nf-call-iptables=0"


CHECK = BridgeFilter()
