"""Why a machine fits nowhere, and what like it would fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import format_size
from virtkit.host.placement.options import Budget, Marks, options
from virtkit.host.placement.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from virtkit.host.placement.room import Room
    from virtkit.host.placement.state import Choice
    from virtkit.host.placement.wish import Wish

_STEPS = 500  # places that are looked at for one wish
_PORTION = 64 << 20  # bytes by which memory is cut until it fits


class Shortage(NamedTuple):
    name: str
    limits: tuple[str, ...]  # what is too little, with how much is there
    nearest: Wish | None  # the most of the same that fits; None: nothing does
    shared_fits: bool  # the same without cores of its own

    def __str__(self) -> str:
        return f"{self.name}: does not fit: {'; '.join(self.limits)}"


def explain(room: Room, choices: Mapping[Wish, Choice], wish: Wish) -> Shortage:
    """``choices``: of those that have a place."""
    state = State(room)
    for other, choice in choices.items():
        state.put(other, choice)
    page = wish.page_size or _PORTION
    cpus_fit = _fits(state, wish._replace(memory=0))
    memory_fits = _fits(state, wish._replace(vcpus=1, policy="shared"))
    limits = []
    if not cpus_fit:
        limits.append(_cpus(state, wish))
    if not memory_fits or (cpus_fit and not limits):
        limits.append(_memory(state, wish))
    fewer = _most(wish.vcpus - 1, lambda count: _fits(state, wish._replace(vcpus=count)))
    less = _most((wish.memory - 1) // page, lambda count: _fits(state, wish._replace(memory=count * page)))
    shared = wish.own_cores and _fits(state, wish._replace(policy="shared"))
    return Shortage(wish.name, tuple(limits), _nearest(state, wish, fewer, less * page), shared)


def _nearest(state: State, wish: Wish, vcpus: int, memory: int) -> Wish | None:
    """Cut what needs the smaller cut; both where neither alone is enough."""
    if vcpus and vcpus / wish.vcpus >= memory / max(wish.memory, 1):
        return wish._replace(vcpus=vcpus)
    if memory:
        return wish._replace(memory=memory)
    page = wish.page_size or _PORTION
    fewer = _most(wish.vcpus, lambda count: _fits(state, wish._replace(vcpus=count, memory=page)))
    if not fewer:
        return None
    less = _most(wish.memory // page, lambda count: _fits(state, wish._replace(vcpus=fewer, memory=count * page)))
    return wish._replace(vcpus=fewer, memory=less * page)


def _fits(state: State, wish: Wish) -> bool:
    return next(options(state, wish, None, Marks(frozenset(), frozenset()), Budget(_STEPS)), None) is not None


def _most(limit: int, fits: Callable[[int], bool]) -> int:
    """The greatest number up to ``limit`` that fits; 0 if none does."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _cpus(state: State, wish: Wish) -> str:
    kept = sum(len(place.housekeeping) for place in state.room.nodes)
    if wish.own_cores:
        width = max(state.room.widths, default=1)
        free = sum(state.free)
        beside = f", kept for the host: {_count(kept, 'CPU')}" if kept else ""
        return (
            f"{_count(wish.vcpus, 'vCPU')} of its own: {_count(wish.cores(width), 'whole core')}, free: {free}{beside}"
        )
    most = max(state.cpus, default=0)
    return f"{_count(wish.vcpus, 'vCPU')} to float: as many CPUs, in the largest node: {most}"


def _memory(state: State, wish: Wish) -> str:
    wanted = format_size(wish.memory)
    if wish.page_size:
        each = [
            f"node {place.number} has {state.pages[index].get(wish.page_size, 0)}"
            for index, place in enumerate(state.room.nodes)
        ]
        pages = -(-wish.memory // wish.page_size)
        return f"{wanted} need {pages} huge pages of {format_size(wish.page_size)}, {', '.join(each)}"
    each = [
        f"node {place.number} has {format_size(state.memory[index])}" for index, place in enumerate(state.room.nodes)
    ]
    return f"memory is {wanted}, {', '.join(each)}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
