"""A host that has its IPv6 address and default route from a router's advertisements."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from netns import picture
from netns.lab import settle
from netns.watcher import Watcher, planned

if TYPE_CHECKING:
    from collections.abc import Callable

    from netns.lab import Lab

pytestmark = pytest.mark.netns

ADDRESS = "2001:db8:5:0:5054:ff:feaa:11"  # of the prefix and the host's MAC (RFC 4862, EUI-64)
ROUTER = "fe80::5054:ff:feaa:1"  # the gateway's own, which it advertises itself by
LIFETIME = 1800  # seconds


def _advertise(lab: Lab) -> None:
    """RFC 4861, 4.2 and 4.6.2: a router with a prefix for addresses."""
    router = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, LIFETIME, 0, 0)
    prefix = struct.pack(
        "!BBBBIII16s", 3, 4, 64, 0xC0, 3600, LIFETIME, 0, socket.inet_pton(socket.AF_INET6, "2001:db8:5::")
    )

    def send() -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as out:
            out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            out.sendto(router + prefix, ("ff02::1", 0, 0, socket.if_nametoindex("lan0")))

    replace(lab, host=lab.gateway).call(send)


def _advertised(lab: Lab, link: str) -> tuple[list[int], list[int]]:
    """Seconds left of the address and of the default route on ``link``."""
    (shown,) = lab.json("addr", "show", "dev", link)
    routes = lab.json("-6", "route", "show", "default", "dev", link)
    return (
        [a["valid_life_time"] for a in shown["addr_info"] if a["local"] == ADDRESS],
        [r["expires"] for r in routes if r["protocol"] == "ra"],
    )


def _until(condition: Callable[[], bool]) -> None:
    for _ in range(100):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("not within 5 s")


def _defaults(lab: Lab) -> list[tuple[str, str, int]]:
    routes = lab.json("-6", "route", "show", "default")
    return sorted((r["dev"], r["protocol"], r["metric"]) for r in routes)


@pytest.fixture
def advertised(lab: Lab) -> Lab:
    """The gateway forwards: a neighbour that says it is no router loses the routes over it (RFC 4861, 7.2.5)."""
    lab.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", inside=lab.gateway)
    settle(lab)
    settle(replace(lab, host=lab.gateway))
    _advertise(lab)
    _until(lambda: all(_advertised(lab, "eth0")))
    settle(lab)
    return lab


@pytest.mark.parametrize("static", [False, True])
def test_advertised_address_and_route_move_and_are_renewed(advertised: Lab, *, static: bool) -> None:
    """Seen without a second choice: the kernel drops every later advertisement, and the address ends."""
    lab = advertised
    own = [("br0", "boot", 1024)] if static else []
    if not static:
        lab.ip("route del default via 2001:db8:9::1")
    watcher = Watcher(lab, planned(lab))
    lab.virtkit("net", "bridge", "create", "br0", "--port", "eth0", "-y")
    assert _defaults(lab) == sorted([*own, ("br0", "ra", 1025)])
    assert f"gateway {ROUTER}" in watcher.watched()
    assert watcher.lost() == []
    (lifetime,), (expires,) = _advertised(lab, "br0")
    assert 3500 < lifetime < 3600
    assert LIFETIME - 100 < expires < LIFETIME

    settle(lab)
    time.sleep(1.1)
    _advertise(lab)
    _until(lambda: _defaults(lab) == sorted([*own, ("br0", "ra", 1024), ("br0", "ra", 1025)]))
    _until(lambda: _advertised(lab, "br0")[0][0] > lifetime - 1)


def test_bridge_of_a_host_that_forwards_still_listens_to_advertisements(advertised: Lab) -> None:
    """As Docker leaves it: with forwarding on, accept_ra 1 means no, and the address would run out on the bridge."""
    lab = advertised
    lab.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    assert lab.run("sysctl", "-n", "net.ipv6.conf.eth0.accept_ra").stdout == "1\n"
    lab.virtkit("net", "bridge", "create", "br0", "--port", "eth0", "-y")
    assert lab.run("sysctl", "-n", "net.ipv6.conf.br0.accept_ra").stdout == "2\n"
    ((lifetime,), _) = _advertised(lab, "br0")
    assert 3500 < lifetime < 3600
    settle(lab)
    time.sleep(1.1)
    _advertise(lab)
    _until(lambda: _advertised(lab, "br0")[0][0] > lifetime - 1)


def test_undo_brings_back_what_was_advertised_and_later_advertisements_count(advertised: Lab) -> None:
    lab = advertised
    before = picture.everything(lab)
    lab.virtkit("net", "bridge", "create", "br0", "--port", "eth0", "-y")
    lab.virtkit("undo", "-y")
    (lifetime,), _ = _advertised(lab, "eth0")
    assert _defaults(lab) == [("eth0", "boot", 1024), ("eth0", "ra", 1025)]
    settle(lab)
    time.sleep(1.1)
    _advertise(lab)
    _until(lambda: _advertised(lab, "eth0")[0][0] > lifetime - 1)
    lab.ip(f"route del default metric 1025 dev eth0 via {ROUTER}")
    after = picture.everything(lab)
    assert _unordered(after) == _unordered(before)


def _unordered(shown: dict[str, picture.Entries]) -> dict[str, list[str]]:
    return {key: sorted(map(str, entries)) for key, entries in shown.items()}
