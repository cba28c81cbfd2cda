"""What no plan can be better than, told without making one: so that a plan that reaches it is known to be the best."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.host.placement.score import Score

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from virtkit.host.placement.room import Room
    from virtkit.host.placement.score import Rules
    from virtkit.host.placement.wish import Wish


def lower_bound(rules: Rules, wishes: Sequence[Wish]) -> Score:
    """Each count is the least among the plans that reach the least of all counts before it."""
    possible = [wish for wish in wishes if rules.fewest[wish] is not None]
    out = max((_left_out(room, needs) for room, needs in _totals(rules.room, possible)), default=0)
    nodes = max(0, _crossing(*_by_node(rules, possible)), _crossing(*_memory_by_node(rules, possible)))
    return Score(
        unplaced=len(wishes) - len(possible) + out,
        cross_node=max(0, nodes - out),
        cache_splits=max(0, _crossing(*_by_cache(rules, possible)) - out),
        device_mismatch=_far_devices(rules, possible, out),
        stranded=_stranded(rules.room, possible) if len(possible) == len(wishes) and not out else 0,
    )


def _totals(room: Room, wishes: Sequence[Wish]) -> Iterable[tuple[int, list[int]]]:
    """Of each thing: how much the host has, and how much each machine needs of it."""
    yield sum(len(group.cores) for group in room.groups), _core_needs(room, wishes)
    yield sum(place.memory for place in room.nodes), [wish.memory for wish in wishes if not wish.page_size]
    for size in {wish.page_size for wish in wishes if wish.page_size}:
        has = sum(place.pools.get(size, 0) * size for place in room.nodes)
        yield has, [wish.memory for wish in wishes if wish.page_size == size]


def _core_needs(room: Room, wishes: Iterable[Wish]) -> list[int]:
    widest = max(room.widths, default=1)
    return [wish.cores(widest) for wish in wishes if wish.own_cores]


def _left_out(has: int, needs: list[int]) -> int:
    """At least so many get nothing, even if the smallest come first."""
    for got, need in enumerate(sorted(needs)):
        has -= need
        if has < 0:
            return len(needs) - got
    return 0


def _crossing(bins: Sequence[int], needs: Sequence[int]) -> int:
    """At least so many do not go whole into one bin: a bin has room for so many of the largest."""
    found = 0
    for least in {need for need in needs if need > 0}:
        large = sum(need >= least for need in needs)
        found = max(found, large - sum(size // least for size in bins))
    return found


def _by_node(rules: Rules, wishes: Sequence[Wish]) -> tuple[list[int], list[int]]:
    sizes = _sizes(rules.room, {index: group.node for index, group in enumerate(rules.room.groups)})
    return sizes, _core_needs(rules.room, (wish for wish in wishes if _fewest(rules, wish, "nodes") == 1))


def _by_cache(rules: Rules, wishes: Sequence[Wish]) -> tuple[list[int], list[int]]:
    sizes = _sizes(rules.room, {index: group.cache for index, group in enumerate(rules.room.groups)})
    return sizes, _core_needs(rules.room, (wish for wish in wishes if _fewest(rules, wish, "caches") == 1))


def _memory_by_node(rules: Rules, wishes: Sequence[Wish]) -> tuple[list[int], list[int]]:
    whole = [wish for wish in wishes if not wish.page_size and _fewest(rules, wish, "nodes") == 1]
    return [place.memory for place in rules.room.nodes], [wish.memory for wish in whole]


def _fewest(rules: Rules, wish: Wish, what: str) -> int:
    best = rules.fewest[wish]
    return 0 if best is None else best._asdict()[what]


def _sizes(room: Room, owner: Mapping[int, int]) -> list[int]:
    sizes: dict[int, int] = {}
    for index, group in enumerate(room.groups):
        sizes[owner[index]] = sizes.get(owner[index], 0) + len(group.cores)
    return list(sizes.values())


def _far_devices(rules: Rules, wishes: Sequence[Wish], out: int) -> int:
    """Of machines that stay on their fewest nodes: devices that are at still others."""
    numbers = {place.number for place in rules.room.nodes}
    far = []
    for wish in wishes:
        at = [wish.devices.count(node) for node in set(wish.devices) if node in numbers]
        near = sum(sorted(at, reverse=True)[: _fewest(rules, wish, "nodes")])
        far.append(len(wish.devices) - near)
    kept = sorted(far)[: len(far) - out] if out else far
    return sum(kept)


def _stranded(room: Room, wishes: Sequence[Wish]) -> int:
    """The caches that hold all cores in use leave at least so many over (a sum of sizes, the least that is enough)."""
    if len(room.widths) != 1:
        return 0
    need = sum(_core_needs(room, wishes))
    sums = {0}
    for size in _sizes(room, {index: group.cache for index, group in enumerate(room.groups)}):
        sums |= {total + size for total in sums}
    return min((total for total in sums if total >= need), default=need) - need
