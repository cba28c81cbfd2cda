"""Where a machine could go while others have what they have: tight places first, none twice that is like another."""

from __future__ import annotations

from itertools import accumulate, combinations
from math import comb
from typing import TYPE_CHECKING, NamedTuple

from virtkit.host.placement.score import mismatch
from virtkit.host.placement.state import Choice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from virtkit.host.placement.room import Room
    from virtkit.host.placement.state import State
    from virtkit.host.placement.wish import Wish

_PACKAGES = 4  # of a set of nodes, that are told apart
_GROUPS = 200  # sets of groups of one size that are compared
_SETS = 300  # sets of nodes of one size that are all tried; of more, each node with its nearest


class Budget:
    """Steps that a search may take, and whether it has seen all that there is."""

    def __init__(self, steps: int) -> None:
        self._left = steps
        self._cut = False

    @property
    def spent(self) -> bool:
        return self._left <= 0

    @property
    def complete(self) -> bool:
        return not self.spent and not self._cut

    def cut(self) -> None:
        """Some places are not looked at, for they are too many."""
        self._cut = True

    def step(self) -> bool:
        """Whether there was one left."""
        self._left -= 1
        return self._left > 0


class Marks(NamedTuple):
    """What keeps places apart that look alike: somebody runs there now, or has a device there."""

    nodes: frozenset[int]
    groups: frozenset[int]


def options(state: State, wish: Wish, present: Choice | None, marks: Marks, budget: Budget) -> Iterator[Choice]:
    """With fewer nodes first, then with fewer packages; what it has now comes first among those of as many nodes."""
    for count in range(1, len(state.room.nodes) + 1):
        if present and len(present.nodes) == count and budget.step() and state.fits(wish, present):
            yield present
        kind = _dedicated if wish.own_cores else _shared
        for choice in kind(state, wish, count, marks, budget):
            if not budget.step():
                return
            if choice != present and state.fits(wish, choice):
                yield choice


def _shared(state: State, wish: Wish, count: int, marks: Marks, budget: Budget) -> Iterator[Choice]:
    """The least loaded nodes first: floating machines share what there is."""

    def rank(nodes: tuple[int, ...]) -> tuple[int, int, int, float]:
        load = sum(state.floating[node] for node in nodes) / max(sum(state.cpus[node] for node in nodes), 1)
        choice = Choice((), nodes)
        return state.room.packages(nodes), mismatch(state.room, wish, choice), _spread(state.room, nodes), load

    open_ = [node for node, cpus in enumerate(state.cpus) if cpus]
    found = _unlike(state, _node_sets(state, wish, open_, count, budget), marks)
    for nodes in sorted(found, key=rank):
        yield Choice((), nodes)


class _Arena(NamedTuple):
    """Groups among which cores are chosen: of these nodes and packages, and of all of them some."""

    packages: int  # 0: as it comes
    away: int  # devices elsewhere
    spread: int  # sum of distances
    free: int
    need: int
    groups: tuple[int, ...]
    nodes: tuple[int, ...]


def _dedicated(state: State, wish: Wish, count: int, marks: Marks, budget: Budget) -> Iterator[Choice]:
    arenas = sorted(_arenas(state, wish, count, marks, budget))
    for packages in sorted({arena.packages for arena in arenas} if not budget.spent else ()):
        level = [arena for arena in arenas if arena.packages == packages]
        least = [_least_groups(state, arena) for arena in level]
        for size in range(min(least), max(len(arena.groups) for arena in level) + 1):
            for arena, enough in zip(level, least, strict=True):
                if size >= enough:
                    yield from _choices(state, arena, size, marks, budget)


def _least_groups(state: State, arena: _Arena) -> int:
    """How many of the largest are enough."""
    sums = accumulate(sorted((state.free[index] for index in arena.groups), reverse=True))
    return next(count for count, free in enumerate(sums, 1) if free >= arena.need)


def _arenas(state: State, wish: Wish, count: int, marks: Marks, budget: Budget) -> Iterator[_Arena]:
    groups = state.room.groups
    for width in state.room.widths:
        need = wish.cores(width)
        open_ = [index for index, group in enumerate(groups) if group.width == width and state.free[index]]
        rooms = sorted({groups[index].node for index in open_})
        for nodes in _unlike(state, _node_sets(state, wish, rooms, count, budget), marks):
            inside = [index for index in open_ if groups[index].node in nodes]
            away, spread = mismatch(state.room, wish, Choice((), nodes)), _spread(state.room, nodes)
            for size, members in _of_packages(state.room, inside):
                free = sum(state.free[index] for index in members)
                if free >= need and {groups[index].node for index in members} == set(nodes):
                    yield _Arena(size, away, spread, free, need, members, nodes)


def _of_packages(room: Room, inside: list[int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(how many packages, the groups in them) for each set of packages; of very many, all of them at once."""
    packages = sorted({room.groups[index].package for index in inside})
    if len(packages) > _PACKAGES:
        yield 0, tuple(inside)
        return
    for size in range(1, len(packages) + 1):
        for chosen in combinations(packages, size):
            yield size, tuple(index for index in inside if room.groups[index].package in chosen)


def _choices(state: State, arena: _Arena, size: int, marks: Marks, budget: Budget) -> Iterator[Choice]:
    """Cores of exactly ``size`` groups, those first that leave the fewest cores in them."""
    groups = state.room.groups
    found = []
    for seen, members in enumerate(_multisets(_alike(state, arena.groups, marks), size)):
        if seen == _GROUPS:
            budget.cut()
        if seen == _GROUPS or not budget.step():
            break
        free = sum(state.free[index] for index in members)
        touched = {groups[index].node for index in members}
        packages = {groups[index].package for index in members}
        if free >= arena.need and touched == set(arena.nodes) and arena.packages in {0, len(packages)}:
            found.append((free, sorted(members, key=lambda index: (-state.free[index], index))))
    for _, ordered in sorted(found):
        for amounts in _shares([state.free[index] for index in ordered], arena.need):
            yield Choice(tuple(sorted(zip(ordered, amounts, strict=True))), arena.nodes)


def _shares(free: Sequence[int], need: int) -> Iterator[tuple[int, ...]]:
    """All ways to take ``need``, at least one of each; as much as possible of the first ones first."""
    if len(free) == 1:
        if 1 <= need <= free[0]:
            yield (need,)
        return
    rest = sum(free[1:])
    for amount in range(min(free[0], need - len(free) + 1), max(1, need - rest) - 1, -1):
        for others in _shares(free[1:], need - amount):
            yield (amount, *others)


def _alike(state: State, members: Iterable[int], marks: Marks) -> list[list[int]]:
    """Groups of one kind together: of one node and package, with as many cores and as many free ones."""
    groups = state.room.groups
    of_cache: dict[int, int] = {}
    for group in groups:
        of_cache[group.cache] = of_cache.get(group.cache, 0) + 1
    kinds: dict[tuple[int, ...], list[int]] = {}
    for index in members:
        group = groups[index]
        alone = index if index in marks.groups or of_cache[group.cache] > 1 else -1
        kinds.setdefault((group.node, group.package, state.free[index], len(group.cores), alone), []).append(index)
    return list(kinds.values())


def _multisets(kinds: Sequence[Sequence[int]], size: int) -> Iterator[tuple[int, ...]]:
    """``size`` members; of each kind the first ones, for the others are like them."""
    if not size:
        yield ()
    elif kinds and sum(map(len, kinds)) >= size:
        for number in range(min(len(kinds[0]), size), -1, -1):
            for rest in _multisets(kinds[1:], size - number):
                yield (*kinds[0][:number], *rest)


def _node_sets(state: State, wish: Wish, nodes: list[int], count: int, budget: Budget) -> Iterable[tuple[int, ...]]:
    """Sets of ``count`` of the nodes that have the memory together."""
    memory = {node: state.memory_of(node, wish.page_size) for node in nodes}
    sets = _all_sets(state, [node for node in nodes if memory[node] or not wish.memory], count, budget)
    return (chosen for chosen in sets if sum(memory[node] for node in chosen) >= wish.memory)


def _all_sets(state: State, nodes: list[int], count: int, budget: Budget) -> Iterable[tuple[int, ...]]:
    if comb(len(nodes), count) <= _SETS:
        return combinations(nodes, count)
    budget.cut()
    places = state.room.nodes
    return {
        tuple(sorted(sorted(nodes, key=lambda other: place.distance(places[other]))[:count]))
        for place in map(places.__getitem__, nodes)
    }


def _unlike(state: State, sets: Iterable[tuple[int, ...]], marks: Marks) -> Iterator[tuple[int, ...]]:
    """Of single nodes in the same state, with neighbours in the same state, only the first."""
    seen = set()
    for nodes in sets:
        if len(nodes) == 1 and nodes[0] not in marks.nodes and nodes[0] not in state.sharing:
            like = _look(state, nodes[0])
            if like in seen:
                continue
            seen.add(like)
        yield nodes


def _look(state: State, node: int) -> tuple[object, ...]:
    places = state.room.nodes
    beside = [other for other, place in enumerate(places) if other != node and place.packages & places[node].packages]
    return _own_look(state, node), tuple(sorted((_own_look(state, other) for other in beside), key=repr))


def _own_look(state: State, node: int) -> tuple[object, ...]:
    groups = [(g.width, len(g.cores), state.free[i]) for i, g in enumerate(state.room.groups) if g.node == node]
    pools = tuple(sorted(state.pages[node].items()))
    return state.memory[node], pools, state.cpus[node], state.floating[node], tuple(sorted(groups))


def _spread(room: Room, nodes: tuple[int, ...]) -> int:
    return sum(room.nodes[one].distance(room.nodes[other]) for one, other in combinations(nodes, 2))
