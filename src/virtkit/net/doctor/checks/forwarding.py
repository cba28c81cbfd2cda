"""Forwarding: without it a NAT network is mute; with it a host stops listening to routers' advertisements.

Source: Documentation/networking/ip-sysctl.rst, accept_ra: with forwarding on, 1 means no, 2 means even so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net.actions import SetSysctl
from virtkit.net.doctor.finding import Finding, Harm
from virtkit.net.doctor.scene import setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.doctor.scene import Scene
    from virtkit.net.model import Link

YES, EVEN_SO = "1", "2"


class Forwarding:
    title = "does the host forward, and does it still listen to IPv6 routers?"

    def find(self, scene: Scene) -> Iterator[Finding]:
        for link in scene.network.links:
            if scene.setting("ipv6", link.name, "forwarding") == "1" and _advertised(scene, link):
                yield from _deaf(scene, link)
        for bridge in scene.bridges:
            if _is_nat(scene, bridge) and scene.system.read_or("/proc/sys/net/ipv4/ip_forward", "1") == "0":
                yield Finding(
                    "forwarding",
                    bridge.name,
                    Harm.MUTE,
                    seen="net.ipv4.ip_forward is 0, and " + bridge.name + " is a NAT network",
                    why="guests reach this host and nothing behind it",
                    mend=(SetSysctl("net/ipv4/ip_forward", "1"),),
                    advice="make it last: echo net.ipv4.ip_forward=1 > /etc/sysctl.d/90-forward.conf",
                )


def _advertised(scene: Scene, link: Link) -> bool:
    return any(address.drifts for address in scene.network.addresses_of(link)) or any(
        route.advertised for route in scene.network.routes_of(link)
    )


def _deaf(scene: Scene, link: Link) -> Iterator[Finding]:
    """0 is a daemon's, which listens to routers itself (NetworkManager, systemd-networkd), whoever forwards."""
    if scene.setting("ipv6", link.name, "accept_ra") != YES:
        return
    path = setting("ipv6", link.name, "accept_ra")
    yield Finding(
        "forwarding",
        link.name,
        Harm.WILL,
        seen=f"{link.name} lives on router advertisements, forwards IPv6, and accept_ra is 1",
        why="the kernel ignores further advertisements: addresses and the default route run out",
        mend=(SetSysctl(path, EVEN_SO),),
        advice=f"make it last: echo {path.replace('/', '.')}=2 > /etc/sysctl.d/90-accept-ra-{link.name}.conf",
    )


def _is_nat(scene: Scene, bridge: Link) -> bool:
    """A bridge with an address and no way out of its own: libvirt's default network, Docker's docker0."""
    ports = scene.ports(bridge)
    return bool(ports and scene.addresses(bridge)) and not scene.uplinks(bridge) and not scene.leads_on(bridge)


CHECK = Forwarding()
