"""Which machine runs where: a plan for all at once, with its score and what no plan can be better than.

Pure: a topology and wishes in, seats out. What machines there are, and how they are pinned, is ``recipes/placement``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.host.placement.search import STEPS, search
from virtkit.host.placement.seats import assign, known
from virtkit.host.placement.shortage import Shortage, explain
from virtkit.host.placement.state import State
from virtkit.host.placement.wish import Wish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtkit.host.placement.room import Room
    from virtkit.host.placement.score import Score
    from virtkit.host.placement.state import Choice
    from virtkit.host.placement.wish import Seat


class Placement(NamedTuple):
    seats: Mapping[str, Seat]  # by machine; those that fit nowhere are left out
    score: Score
    bound: Score  # no plan has less
    proved: bool  # so this plan is as good as any
    moved: tuple[str, ...]  # machines that run elsewhere now
    shortages: tuple[Shortage, ...]  # one for each machine that fits nowhere


def place(
    room: Room,
    wishes: Sequence[Wish],
    present: Mapping[str, Seat] | None = None,
    *,
    stay: bool = False,
    steps: int = STEPS,
) -> Placement:
    """``present``: where those of the machines that run are now. Names of wishes differ.

    ``stay``: only those are placed that are nowhere yet, or where no plan would put them.
    """
    now = {wish.name: there for wish in wishes if (there := (present or {}).get(wish.name))}
    before = {wish: choice for wish in wishes if wish.name in now and (choice := known(room, wish, now[wish.name]))}
    fixed = frozenset(before) if stay and _together(room, before) else frozenset[Wish]()
    found = search(room, wishes, before, stay=fixed, steps=steps)
    unmoved = {wish.name: now[wish.name] for wish, choice in before.items() if found.choices.get(wish) == choice}
    moved = tuple(wish.name for wish in before if wish in found.choices and wish.name not in unmoved)
    shortages = tuple(explain(room, found.choices, wish) for wish in wishes if wish not in found.choices)
    ordered = {wish: found.choices[wish] for wish in wishes if wish in found.choices}
    seats = assign(room, ordered, unmoved)
    return Placement(seats, found.score, found.bound, found.proved, moved, shortages)


def _together(room: Room, choices: Mapping[Wish, Choice]) -> bool:
    """Whether all of them fit side by side: what is pinned by hand may not."""
    state = State(room)
    for wish, choice in choices.items():
        if not state.fits(wish, choice):
            return False
        state.put(wish, choice)
    return True


def replan(room: Room, wishes: Sequence[Wish], present: Mapping[str, Seat]) -> Placement:
    """Who has a place keeps it, unless each move takes a fault away, or makes room for one that has none."""
    kept, free = place(room, wishes, present, stay=True), place(room, wishes, present)
    gain, cost = kept.score.faults - free.score.faults, free.score.moves - kept.score.moves
    worth = free.score.unplaced < kept.score.unplaced or (gain > 0 and gain >= cost)
    return free if worth and free.score[:5] < kept.score[:5] else kept
