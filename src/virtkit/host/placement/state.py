"""Who has what while a plan is made: counts, not yet CPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.placement.room import Room
    from virtkit.host.placement.wish import Wish

_PAGE = 4096  # bytes by which ordinary memory is dealt out


class Choice(NamedTuple):
    """What one machine gets: cores of groups (none for a shared one), and nodes; both by index, rising."""

    cores: tuple[tuple[int, int], ...]  # (group, number of its cores)
    nodes: tuple[int, ...]


class State:
    """Undo of ``put`` is ``take``, in any order."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.free = [len(group.cores) for group in room.groups]
        self.memory = [place.memory for place in room.nodes]
        self.pages = [dict(place.pools) for place in room.nodes]
        self.cpus = [len(place.cpus) for place in room.nodes]  # that no machine has for itself
        self.floating = [place.floating for place in room.nodes]
        self.sharing = _sharing(room)
        self.choices: dict[Wish, Choice] = {}
        self._shared: dict[Wish, Choice] = {}

    def fits(self, wish: Wish, choice: Choice) -> bool:
        if any(self.free[group] < cores for group, cores in choice.cores):
            return False
        if any(self.memory_of(node, wish.page_size) < memory for node, memory in portions(self.room, wish, choice)):
            return False
        self._count(wish, choice, 1)
        enough = self._floating_fits(wish, choice)
        self._count(wish, choice, -1)
        return enough

    def put(self, wish: Wish, choice: Choice) -> None:
        self._count(wish, choice, 1)
        self.choices[wish] = choice
        for node, memory in portions(self.room, wish, choice):
            self._use(node, wish.page_size, memory)

    def take(self, wish: Wish) -> Choice:
        choice = self.choices.pop(wish)
        self._count(wish, choice, -1)
        for node, memory in portions(self.room, wish, choice):
            self._use(node, wish.page_size, -memory)
        return choice

    def memory_of(self, node: int, page_size: int) -> int:
        """Free bytes; of huge pages if ``page_size`` is not 0."""
        return self.pages[node].get(page_size, 0) * page_size if page_size else self.memory[node]

    def _use(self, node: int, page_size: int, memory: int) -> None:
        if page_size:
            self.pages[node][page_size] = self.pages[node].get(page_size, 0) - memory // page_size
        else:
            self.memory[node] -= memory

    def _count(self, wish: Wish, choice: Choice, sign: int) -> None:
        if wish.own_cores:
            for index, cores in choice.cores:
                group = self.room.groups[index]
                self.free[index] -= sign * cores
                self.cpus[group.node] -= sign * cores * group.width
            return
        for node in choice.nodes:
            self.floating[node] += sign * -(-wish.vcpus // len(choice.nodes))
        if sign > 0:
            self._shared[wish] = choice
        else:
            del self._shared[wish]

    def _floating_fits(self, wish: Wish, choice: Choice) -> bool:
        """No more vCPUs for a CPU than the ratio, and no machine wider than what it floats on."""
        for node in choice.nodes:
            if self.floating[node] > self.cpus[node] * self.room.ratio:
                return False
        near = set(choice.nodes)
        return all(
            sum(self.cpus[node] for node in where.nodes) >= other.vcpus
            for other, where in self._shared.items()
            if near & set(where.nodes)
        )


def _sharing(room: Room) -> frozenset[int]:
    """Nodes with a cache that is another node's, too: what one gets, the other notices."""
    of_cache: dict[int, set[int]] = {}
    for group in room.groups:
        of_cache.setdefault(group.cache, set()).add(group.node)
    return frozenset(node for nodes in of_cache.values() if len(nodes) > 1 for node in nodes)


def portions(room: Room, wish: Wish, choice: Choice) -> Iterator[tuple[int, int]]:
    """(index of node, bytes of memory there): as the cores are spread, in whole pages."""
    weights = dict.fromkeys(choice.nodes, 0 if choice.cores else 1)
    for group, cores in choice.cores:
        weights[room.groups[group].node] += cores
    whole, page = sum(weights.values()), wish.page_size or _PAGE
    for node, weight in weights.items():
        yield node, -(-wish.memory * weight // (whole * page)) * page
