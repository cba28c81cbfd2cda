"""Mixes of machines for a host, at random but the same ones each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import MIB
from virtkit.host.placement.room import UNLIMITED
from virtkit.host.placement.wish import Wish

if TYPE_CHECKING:
    from random import Random

    from virtkit.host.placement.room import Room
    from virtkit.host.placement.wish import Policy

FULL = 0.85  # of the cores are asked for


def dedicated(room: Room, random: Random, widest: int = 16) -> list[Wish]:
    """Machines of 2 to ``widest`` vCPUs with 512 MiB for each."""
    cores, width = sum(len(group.cores) for group in room.groups), max(room.widths, default=1)
    wishes: list[Wish] = []
    while True:
        vcpus = random.randint(2, widest)
        if sum(wish.cores(width) for wish in wishes) - (-vcpus // width) > cores * FULL:
            return wishes
        wishes.append(Wish(f"vm{len(wishes)}", vcpus, vcpus * 512 * MIB, policy="dedicated"))


def mixed(room: Room, random: Random) -> list[Wish]:
    """All policies, huge pages, devices and I/O threads; sometimes more than the host has."""
    cores, width = sum(len(group.cores) for group in room.groups) or 1, max(room.widths, default=1)
    known = [place.memory for place in room.nodes if place.memory != UNLIMITED]
    memory = sum(known) or 8 << 30
    wishes = []
    for number in range(random.randint(1, 14)):
        policy: Policy = random.choice(("shared", "dedicated", "dedicated", "isolate"))
        vcpus = random.randint(1, max(1, min(16, cores * width // 2)))
        pools = sorted({size for place in room.nodes for size, pages in place.pools.items() if pages > 0})
        page = random.choice([0, 0, *pools])
        asked = random.randint(1, max(1, memory // 4))
        if page:
            asked = page * random.randint(1, max(place.pools.get(page, 0) for place in room.nodes))
        devices = tuple(random.choice(room.nodes).number for _ in range(random.choice((0, 0, 0, 1, 2))))
        threads = tuple(range(1, random.choice((1, 1, 3))))
        wishes.append(Wish(f"vm{number}", vcpus, asked, page, policy, devices, threads))
    return wishes
