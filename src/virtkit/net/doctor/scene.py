"""The host as the checks look at it: one reading of the kernel's tables, and its files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from virtkit.net import adoption, firewall
from virtkit.net.kernel import Kernel

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.net.firewall.rules import Filter
    from virtkit.net.model import Address, Link, Network


@dataclass(frozen=True)
class Scene:
    system: System
    network: Network

    @classmethod
    def read(cls, system: System) -> Scene:
        with Kernel() as kernel:
            return cls(system, kernel.network())

    @cached_property
    def bridges(self) -> list[Link]:
        return [link for link in self.network.links if link.kind == "bridge"]

    @cached_property
    def filters(self) -> list[Filter]:
        """What this host's firewalls have in the way of what is forwarded."""
        return firewall.filters(self.system)

    def ports(self, bridge: Link) -> list[Link]:
        return self.network.ports(bridge)

    def uplinks(self, bridge: Link) -> list[Link]:
        """The ports that are a way to the LAN: cards, bonds, VLANs; or a veth whose MAC address the bridge bears."""
        return adoption.uplinks_of(self.network, bridge)

    def addresses(self, link: Link) -> list[Address]:
        """Without those that the kernel makes for each link."""
        return [address for address in self.network.addresses_of(link) if not address.automatic]

    def leads_on(self, link: Link) -> bool:
        """Whether the host's own default route goes over it."""
        return any(route.destination == "default" for route in self.network.routes_of(link))

    def setting(self, family: str, link: str, name: str) -> str:
        """``net.<family>.conf.<link>.<name>``; empty where the kernel has none."""
        return self.system.read_or(f"/proc/sys/{setting(family, link, name)}", "")

    def attribute(self, link: Link, name: str) -> str:
        return self.system.read_or(f"/sys/class/net/{link.name}/{name}", "")

    def is_wifi(self, link: Link) -> bool:
        return self.system.exists(f"/sys/class/net/{link.name}/phy80211")


def setting(family: str, link: str, name: str) -> str:
    """The path below /proc/sys."""
    return f"net/{family}/conf/{link}/{name}"
