"""The host as the checks look at it: one reading of the kernel's tables, and its files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from virtkit.net.firewall import Forwarding, forwarding
from virtkit.net.kernel import Kernel
from virtkit.net.model import ETHERNET, LOOPBACK

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.net.model import Address, Link, Network

INWARD = {"tun", "macvtap"}  # kinds of the links that a machine's NIC ends in


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
    def filters(self) -> list[Forwarding]:
        """Where this host's firewall drops what nobody allowed to pass through."""
        return forwarding(self.system)

    def ports(self, bridge: Link) -> list[Link]:
        return self.network.ports(bridge)

    def addresses(self, link: Link) -> list[Address]:
        """Without those that the kernel makes for each link."""
        return [address for address in self.network.addresses_of(link) if not address.automatic]

    def leads_out(self, link: Link) -> bool:
        """Whether it is a way to the LAN: a card, a bond, a VLAN; or a veth whose MAC address a bridge bears."""
        if link.type != ETHERNET or link.flags & LOOPBACK or link.kind in {*INWARD, "bridge"}:
            return False
        return link.kind != "veth" or link.mac in {bridge.mac for bridge in self.bridges}

    def setting(self, family: str, link: str, name: str) -> str:
        """``net.<family>.conf.<link>.<name>``; empty where the kernel has none."""
        return self.system.read_or(f"/proc/sys/{setting(family, link, name)}", "")

    def attribute(self, link: Link, name: str) -> str:
        return self.system.read_or(f"/sys/class/net/{link.name}/{name}", "")


def setting(family: str, link: str, name: str) -> str:
    """The path below /proc/sys."""
    return f"net/{family}/conf/{link}/{name}"
