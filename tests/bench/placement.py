"""``python -m bench.placement [MIXES]``: our plans beside Nova's order, on recorded and made-up hosts."""

from __future__ import annotations

import sys
import time
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from bench import nova
from host.placement.mixes import dedicated
from host.shapes import EPYC, Shape, topology
from host.trees import machine
from virtkit.core.units import GIB
from virtkit.host.kernel import Kernel
from virtkit.host.placement import place
from virtkit.host.placement.room import make_room
from virtkit.host.topology import read_topology

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtkit.core.cpuset import CpuSet
    from virtkit.host.placement.room import Room
    from virtkit.host.placement.wish import Wish

RECORDED = ("96em64t-4no4pa3ca2co", "128arm-2pa2n8cluster4co", "32intel64-2p8co2t+8ve", "256ppc-8n8s4t")
MADE = {**EPYC, "2 x 8 cores, SMT": Shape(2, 1, 1, 8, 2, 64 * GIB), "1 x 4 x 4 cores, SMT": Shape(1, 1, 4, 4, 2)}
TITLES = ("host", "machines", "left out", "L3 splits", "nodes crossed", "proved best", "ms a plan")


class Row(NamedTuple):
    """Of all mixes together."""

    machines: int = 0
    unplaced: int = 0
    splits: int = 0  # machines on more last-level caches than they need
    crossing: int = 0  # machines on more nodes than they need
    proved: int = 0
    seconds: float = 0.0


def measure(room: Room, mixes: int) -> tuple[Row, Row]:
    """Ours and Nova's; only what is placed can be split."""
    ours, theirs = Row(), Row()
    random = Random(7)
    for _ in range(mixes):
        wishes = dedicated(room, random)
        began = time.perf_counter()
        plan = place(room, wishes)
        middle = time.perf_counter()
        other = nova.place(room, wishes)
        seats = {name: seat.cpus for name, seat in plan.seats.items()}
        ours = _add(ours, _row(room, wishes, seats, int(plan.proved), middle - began))
        theirs = _add(theirs, _row(room, wishes, other, 0, time.perf_counter() - middle))
    return ours, theirs


def _add(one: Row, other: Row) -> Row:
    return Row._make(left + right for left, right in zip(one, other, strict=True))


def _row(room: Room, wishes: Sequence[Wish], seats: Mapping[str, CpuSet], proved: int, seconds: float) -> Row:
    width = max(room.widths)
    caches, nodes = _sizes(room, "cache"), _sizes(room, "node")
    placed = [(wish, seats[wish.name]) for wish in wishes if wish.name in seats]
    splits = sum(_touched(room, cpus, "cache") > _fewest(wish.cores(width), caches) for wish, cpus in placed)
    crossing = sum(_touched(room, cpus, "node") > _fewest(wish.cores(width), nodes) for wish, cpus in placed)
    return Row(len(wishes), len(wishes) - len(placed), splits, crossing, proved, seconds)


def _sizes(room: Room, what: str) -> list[int]:
    sizes: dict[int, int] = {}
    for group in room.groups:
        sizes[getattr(group, what)] = sizes.get(getattr(group, what), 0) + len(group.cores)
    return sorted(sizes.values(), reverse=True)


def _touched(room: Room, cpus: CpuSet, what: str) -> int:
    return len({getattr(group, what) for group in room.groups for core in group.cores if core & cpus})


def _fewest(cores: int, sizes: Sequence[int]) -> int:
    """How many of the largest hold them."""
    for count, size in enumerate(sizes, 1):
        cores -= size
        if cores <= 0:
            return count
    return len(sizes)


def _rooms() -> dict[str, Room]:
    rooms = {name: make_room(topology(shape)) for name, shape in MADE.items()}
    for name in RECORDED:
        with machine(name) as system:
            rooms[name] = make_room(read_topology(Kernel(system)))
    return rooms


def main(mixes: int) -> None:
    print("| " + " | ".join(TITLES) + " |\n" + "|---" * len(TITLES) + "|")  # noqa: T201  a table is the result
    for name, room in _rooms().items():
        for who, row in zip(("virtkit", "Nova's order"), measure(room, mixes), strict=True):
            placed = max(row.machines - row.unplaced, 1)
            split, crossed = f"{row.splits} ({100 * row.splits / placed:.1f} %)", str(row.crossing)
            proved = f"{row.proved} of {mixes}" if who == "virtkit" else "-"
            speed = f"{1000 * row.seconds / mixes:.1f}"
            cells = (f"{name}: {who}", str(row.machines), str(row.unplaced), split, crossed, proved, speed)
            print("| " + " | ".join(cells) + " |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
