"""What a start of the host has to bring about on a port and its bridge, as lines that two kernels' states compare by.

Left out: what the kernel makes for each link by itself, and what comes and goes with a router's advertisements.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from virtkit.net import standing
from virtkit.net.model import FOREVER, IPV6

if TYPE_CHECKING:
    from virtkit.net.model import Address, Link, Network

Picture: TypeAlias = dict[str, list[list[str]]]  # link -> what it is, what it holds

LINK_LOCAL = "fe80"


class Difference(NamedTuple):
    link: str
    sign: str  # - the start does not bring it about, + it does and should not
    line: str
    excusable: bool  # about what a link holds: may be the same with the old files

    def __str__(self) -> str:
        return f"{self.link} {'lacks' if self.sign == '-' else 'has'} {self.line}"


def take(network: Network, port: str, bridge: str) -> Picture:
    return {name: _of(network, name) for name in (port, bridge)}


def only(picture: Picture, name: str, *, as_name: str) -> Picture:
    """What one link holds, for comparing it with what another one held."""
    return {as_name: [[], picture[name][1]]}


def compare(wanted: Picture, found: Picture) -> list[Difference]:
    """What ``found`` lacks first."""
    differences = []
    for link, (facts, held) in wanted.items():
        for is_held, here, there in ((False, facts, found[link][0]), (True, held, found[link][1])):
            differences += [Difference(link, "-", line, is_held) for line in here if line not in there]
            differences += [Difference(link, "+", line, is_held) for line in there if line not in here]
    return sorted(differences, key=lambda difference: difference.sign, reverse=True)


def _of(network: Network, name: str) -> list[list[str]]:
    link = network.by_name.get(name)
    if link is None:
        return [["no link"], []]
    side = standing.side_of(network, name)
    master = [f"a place in {side.master}"] if side.master else []
    gone = [address for address in side.addresses if _given6(address)]
    kept = [address for address in side.addresses if address not in gone and not _link_local(address)]
    routes = [line for line in side.route_lines() if line.partition(" ")[0] not in {f"{a.local}/128" for a in gone}]
    return [[*_facts(link), *master], [f"mtu {link.mtu}", *(_line(address, name) for address in kept), *routes]]


def _given6(address: Address) -> bool:
    """By an advertisement, or by a DHCPv6 server: the room has neither."""
    return address.drifts or (address.family == IPV6 and address.valid != FOREVER)


def _line(address: Address, name: str) -> str:
    """Without the detection of duplicates: whether it was done says nothing about the address."""
    flags = tuple(flag for flag in address.flags if flag != "nodad")
    return standing.comparable(replace(address, flags=flags)).line(name)


def _link_local(address: Address) -> bool:
    return address.family == IPV6 and address.local.startswith(LINK_LOCAL)


def _facts(link: Link) -> list[str]:
    facts = [f"mac {link.mac}", "state up" if link.up else "state down"]
    if link.bridge:
        facts += ["kind bridge", "STP on" if link.bridge.stp else "STP off"]
    return facts
