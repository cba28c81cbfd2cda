"""The kernel's settings of a link (ip-sysctl.rst): a new link starts with the defaults, not with its port's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.net.standing import Side

GROUPS = ("ipv4/conf", "ipv6/conf", "ipv4/neigh", "ipv6/neigh")  # below /proc/sys/net
# Set by the kernel or by a router's advertisements, or the link's own.
NOT_CARRIED = frozenset({"hop_limit", "mc_forwarding", "mtu", "base_reachable_time_ms", "retrans_time_ms"})
ACCEPT_RA = "ipv6/conf/accept_ra"
EVEN_AS_ROUTER = "2"


def to_carry(system: System, side: Side) -> dict[str, str]:
    """``ipv4/conf/rp_filter`` -> value, wherever the link's differs from what a new link gets.

    A host that forwards takes a router's advertisements only where it is told to; what was advertised would run out.
    """
    carried = dict(_differing(system, side.name))
    advertised = any(address.drifts for address in side.addresses) or any(route.advertised for route in side.routes)
    if advertised and system.read_or(path(side.name, "ipv6/conf/forwarding"), "0") != "0":
        carried[ACCEPT_RA] = EVEN_AS_ROUTER
    return carried


def path(link: str, key: str) -> str:
    group, _, name = key.rpartition("/")
    return f"/proc/sys/net/{group}/{link}/{name}"


def _differing(system: System, link: str) -> Iterator[tuple[str, str]]:
    for group in GROUPS:
        names = system.names(f"/proc/sys/net/{group}/{link}")
        for name in names:
            if name in NOT_CARRIED or f"{name}_ms" in names:
                continue
            key = f"{group}/{name}"
            value, new = system.read_or(path(link, key), ""), _of_a_new_link(system, key)
            if value and new and value != new:
                yield key, value


def _of_a_new_link(system: System, key: str) -> str:
    """Another network namespace than the first shows no defaults of its neighbour tables; its loopback has them."""
    return system.read_or(path("default", key), "") or system.read_or(path("lo", key), "")
