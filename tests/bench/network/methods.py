"""Ways to put a host's only link under a bridge: what others type, and ours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from bench.network import manager
from netns.lab import GATEWAY4, GATEWAY6, HOST4, HOST6, HOST_MAC

if TYPE_CHECKING:
    from collections.abc import Callable

    from netns.lab import Lab

# The article's commands in its order, as one script: by hand over ssh the session ends at the second one. What it
# says nothing about (IPv6) is left to itself, as it is for its readers.
ARTICLE = f"""
brctl addbr br0
brctl addif br0 eth0
ip addr del dev eth0 {HOST4}/24
ip addr add {HOST4}/24 dev br0
ip link set br0 up
ip route add default via {GATEWAY4}
"""
# As good as single commands get: the bridge is up with the port's MAC, addresses stand on both links, routes are
# replaced and never taken away.
BEST_ORDER = f"""
ip link add br0 address {HOST_MAC} type bridge stp_state 0 forward_delay 0
ip link set br0 up
ip addr add {HOST4}/24 dev br0 noprefixroute
ip addr add {HOST6}/64 dev br0 nodad noprefixroute
ip link set eth0 master br0
ip route replace 10.9.0.0/24 dev br0 src {HOST4} proto kernel scope link
ip route replace default via {GATEWAY4} dev br0 metric 100
ip route replace 2001:db8:9::/64 dev br0 proto kernel metric 256
ip route replace default via {GATEWAY6} dev br0 metric 1024 pref high
ip addr del {HOST4}/24 dev eth0
ip addr del {HOST6}/64 dev eth0
"""


class Method(NamedTuple):
    title: str
    move: Callable[[Lab], None]
    prepare: Callable[[Lab], None] = lambda _lab: None
    clear: Callable[[Lab], None] = lambda _lab: None


def _script(lines: str) -> Callable[[Lab], None]:
    return lambda lab: _done(lab.run("sh", "-ec", lines))


def _done(_finished: object) -> None:
    """Nobody needs what a command printed."""


def _create(lab: Lab) -> None:
    lab.virtkit("net", "bridge", "create", "br0", "--port", "eth0", "-y")


def _delete(lab: Lab) -> None:
    lab.virtkit("net", "bridge", "delete", "br0", "-y")


METHODS = {
    "nothing": Method("nothing is done", lambda _lab: time.sleep(0.5)),
    "article": Method("the article's order, as a script", _script(ARTICLE)),
    "iproute2": Method("ip commands in the best order", _script(BEST_ORDER)),
    "nm-static": Method("NetworkManager by itself, static", manager.bridge, manager.start_static, manager.stop),
    "nm-dhcp": Method("NetworkManager by itself, DHCP", manager.bridge, manager.start_dhcp, manager.stop),
    "create": Method("virtkit net bridge create", _create),
    "create-nm-static": Method("the same, NetworkManager's link, static", _create, manager.start_static, manager.stop),
    "create-nm-dhcp": Method("the same, NetworkManager's link, DHCP", _create, manager.start_dhcp, manager.stop),
    "delete": Method("virtkit net bridge delete", _delete, _create),
}
