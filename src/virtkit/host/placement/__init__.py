"""Which machine runs where: a plan for all at once, with its score and what no plan can be better than.

Pure: a topology and wishes in, seats out. What machines there are, and how they are pinned, is ``recipes/placement``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.host.placement.search import STEPS, search
from virtkit.host.placement.seats import assign, known
from virtkit.host.placement.shortage import Shortage, explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtkit.host.placement.room import Room
    from virtkit.host.placement.score import Score
    from virtkit.host.placement.wish import Seat, Wish


class Placement(NamedTuple):
    seats: Mapping[str, Seat]  # by machine; those that fit nowhere are left out
    score: Score
    bound: Score  # no plan has less
    proved: bool  # so this plan is as good as any
    moved: tuple[str, ...]  # machines that run elsewhere now
    shortages: tuple[Shortage, ...]  # one for each machine that fits nowhere


def place(
    room: Room, wishes: Sequence[Wish], present: Mapping[str, Seat] | None = None, *, steps: int = STEPS
) -> Placement:
    """``present``: where those of the machines that run are now. Names of wishes differ."""
    now = {wish.name: there for wish in wishes if (there := (present or {}).get(wish.name))}
    before = {wish: choice for wish in wishes if wish.name in now and (choice := known(room, wish, now[wish.name]))}
    found = search(room, wishes, before, steps)
    unmoved = {wish.name: now[wish.name] for wish, choice in before.items() if found.choices.get(wish) == choice}
    moved = tuple(wish.name for wish in before if wish in found.choices and wish.name not in unmoved)
    shortages = tuple(explain(room, found.choices, wish) for wish in wishes if wish not in found.choices)
    seats = assign(room, found.choices, unmoved)
    return Placement(seats, found.score, found.bound, found.proved, moved, shortages)
