"""How good a plan is: seven counts of faults, the gravest first, compared in that order; 0 is best."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtkit.host.placement.room import Room
    from virtkit.host.placement.state import Choice, State
    from virtkit.host.placement.wish import Wish


class Score(NamedTuple):
    unplaced: int = 0  # machines
    cross_node: int = 0  # nodes beyond the fewest that each machine needs on this host, were it alone
    cross_package: int = 0  # packages, likewise
    cache_splits: int = 0  # last-level caches, likewise
    device_mismatch: int = 0  # host devices at a node where their machine is not
    stranded: int = 0  # free cores in a cache that a machine has begun: no machine of a whole cache can have them
    moves: int = 0  # machines that run elsewhere now

    @property
    def faults(self) -> int:
        """Those that a machine feels."""
        return sum(self[:5])


class Shape(NamedTuple):
    """What a choice touches."""

    nodes: int
    packages: int
    caches: int


def shape(room: Room, choice: Choice) -> Shape:
    if not choice.cores:
        return Shape(len(choice.nodes), room.packages(choice.nodes), 0)
    groups = [room.groups[index] for index, _ in choice.cores]
    packages, caches = {group.package for group in groups}, {group.cache for group in groups}
    return Shape(len(choice.nodes), len(packages), len(caches))


class Rules(NamedTuple):
    """What the score of each machine is measured against."""

    room: Room
    fewest: Mapping[Wish, Shape | None]  # alone on this host; None: it fits nowhere
    present: Mapping[Wish, Choice]  # of those that run and are placed

    def faults(self, wish: Wish, choice: Choice) -> tuple[int, int, int, int]:
        """Nodes, packages and caches beyond the fewest; devices elsewhere."""
        best, found = self.fewest[wish], shape(self.room, choice)
        beyond = [max(0, has - least) for has, least in zip(found, best or found, strict=True)]
        return beyond[0], beyond[1], beyond[2], mismatch(self.room, wish, choice)

    def moved(self, wish: Wish, choice: Choice) -> bool:
        return wish in self.present and self.present[wish] != choice

    def score(self, state: State, wishes: Sequence[Wish]) -> Score:
        totals, moves = [0, 0, 0, 0], 0
        for wish, choice in state.choices.items():
            totals = [total + fault for total, fault in zip(totals, self.faults(wish, choice), strict=True)]
            moves += self.moved(wish, choice)
        return Score._make((len(wishes) - len(state.choices), *totals, stranded(state), moves))


def mismatch(room: Room, wish: Wish, choice: Choice) -> int:
    if not wish.devices:
        return 0
    there = {room.nodes[node].number for node in choice.nodes}
    return sum(node not in there for node in wish.devices)


def stranded(state: State) -> int:
    begun: dict[int, bool] = {}
    free: dict[int, int] = {}
    for index, group in enumerate(state.room.groups):
        begun[group.cache] = begun.get(group.cache, False) or state.free[index] < len(group.cores)
        free[group.cache] = free.get(group.cache, 0) + state.free[index]
    return sum(cores for cache, cores in free.items() if begun[cache])
