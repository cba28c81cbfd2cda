"""The order in which OpenStack Nova pins a machine, in our own words, to plan against.

After ``nova/virt/hardware.py`` (2024: ``numa_fit_instance_to_host``, ``_pack_instance_onto_cores``): host cells are
tried from the fullest to the emptiest, the machine has as many cells as its flavour says (one by default), the first
cell that fits wins. In a cell the cores with the most free threads come first, in the order of their numbers. Caches
and distances are not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtkit.core.cpuset import CpuSet
    from virtkit.host.placement.room import Room
    from virtkit.host.placement.wish import Wish


def place(room: Room, wishes: Sequence[Wish]) -> Mapping[str, CpuSet]:
    """CPUs of each machine that gets some, in the order in which they ask. Only policy dedicated."""
    cells = [_Cell(room, index) for index in range(len(room.nodes))]
    placed: dict[str, CpuSet] = {}
    for wish in wishes:
        for cell in sorted(cells, key=lambda cell: (cell.free_cpus, cell.memory)):  # packing, Nova's default
            if cpus := cell.pin(wish):
                placed[wish.name] = cpus
                break
    return placed


class _Cell:
    def __init__(self, room: Room, node: int) -> None:
        self.memory = room.nodes[node].memory
        cores = [set(core) for group in room.groups if group.node == node for core in group.cores]
        self._cores = sorted(cores, key=min)

    @property
    def free_cpus(self) -> int:
        return sum(map(len, self._cores))

    def pin(self, wish: Wish) -> CpuSet:
        """Empty where it does not fit."""
        if wish.memory > self.memory or wish.vcpus > self.free_cpus:
            return frozenset()
        for threads in range(max(map(len, self._cores)), 0, -1):
            siblings = [sorted(core)[:threads] for core in self._cores if len(core) >= threads]
            if threads * len(siblings) >= wish.vcpus:
                return self._take(wish, [cpu for core in siblings for cpu in core])
        return self._take(wish, [cpu for core in self._cores for cpu in sorted(core)])

    def _take(self, wish: Wish, order: list[int]) -> CpuSet:
        cpus = frozenset(order[: wish.vcpus])
        for core in self._cores:
            core.difference_update(cpus)
        self.memory -= wish.memory
        return cpus
