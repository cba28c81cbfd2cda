"""From counts to CPUs, and from the CPUs that a machine has now back to counts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from virtkit.host.placement.state import Choice, portions
from virtkit.host.placement.wish import Seat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.core.cpuset import CpuSet
    from virtkit.host.placement.room import Room
    from virtkit.host.placement.wish import Wish


def known(room: Room, wish: Wish, now: Seat) -> Choice | None:
    """The choice that ``now`` would be; None for what no plan makes: parts of cores, CPUs that are not free."""
    if not wish.own_cores:
        nodes = tuple(index for index, place in enumerate(room.nodes) if place.cpus & now.cpus)
        return Choice((), nodes) if nodes else None
    if not now.one_to_one:
        return None
    cores: Counter[int] = Counter()
    for index, group in enumerate(room.groups):
        cores[index] += sum(bool(core & now.cpus) for core in group.cores)
    used = tuple((index, count) for index, count in sorted(cores.items()) if count)
    widths = {room.groups[index].width for index, _ in used}
    covered = frozenset[int]().union(*(core for index, _ in used for core in room.groups[index].cores))
    if len(widths) != 1 or not now.cpus <= covered or sum(cores.values()) != wish.cores(*widths):
        return None
    return Choice(used, tuple(sorted({room.groups[index].node for index, _ in used})))


def assign(room: Room, choices: Mapping[Wish, Choice], stay: Mapping[str, Seat]) -> dict[str, Seat]:
    """``stay``: those of the machines that keep the very cores that they have."""
    own: dict[Wish, list[CpuSet]] = {wish: [] for wish in choices}
    for index, group in enumerate(room.groups):
        left = list(group.cores)
        for keeps in (True, False):
            for wish, choice in choices.items():
                if (count := dict(choice.cores).get(index, 0)) and (wish.name in stay) is keeps:
                    mine = [c for c in left if c & stay[wish.name].cpus] if keeps else left[:count]
                    own[wish] += mine
                    left = [core for core in left if core not in mine]
    dedicated = frozenset[int]().union(*(core for cores in own.values() for core in cores))
    return {
        wish.name: _own(
            room, wish, choice, stay[wish.name].vcpus if wish.name in stay else _one_to_one(wish, own[wish]), dedicated
        )
        if wish.own_cores
        else _floating(room, wish, choice, dedicated)
        for wish, choice in choices.items()
    }


def _floating(room: Room, wish: Wish, choice: Choice, dedicated: CpuSet) -> Seat:
    pool = frozenset[int]().union(*(room.nodes[node].cpus for node in choice.nodes)) - dedicated
    return Seat((pool,) * wish.vcpus, pool, dict.fromkeys(wish.iothreads, pool), _memory(room, wish, choice))


def _own(room: Room, wish: Wish, choice: Choice, vcpus: tuple[CpuSet, ...], dedicated: CpuSet) -> Seat:
    aside = _aside(room, choice, dedicated)
    return Seat(vcpus, aside, dict.fromkeys(wish.iothreads, aside), _memory(room, wish, choice))


def _memory(room: Room, wish: Wish, choice: Choice) -> dict[int, int]:
    return {room.nodes[node].number: size for node, size in portions(room, wish, choice)}


def _one_to_one(wish: Wish, cores: list[CpuSet]) -> tuple[CpuSet, ...]:
    """Neighbouring vCPUs on siblings, or each on a core of its own."""
    threads = [cpu for core in cores for cpu in sorted(core)[: 1 if wish.policy == "isolate" else None]]
    return tuple(frozenset({cpu}) for cpu in threads[: wish.vcpus])


def _aside(room: Room, choice: Choice, dedicated: CpuSet) -> CpuSet:
    """For emulator and I/O threads: the housekeeping cores of its nodes, else of the nearest that has some."""
    own = frozenset[int]().union(*(room.nodes[node].housekeeping for node in choice.nodes))
    if own:
        return own
    home = room.nodes[choice.nodes[0]]
    others = [place for place in room.nodes if place.housekeeping]
    if others:
        return min(others, key=home.distance).housekeeping
    free = frozenset[int]().union(*(place.cpus for place in room.nodes)) - dedicated
    return free or home.cpus
