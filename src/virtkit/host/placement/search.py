"""Look for the plan with the least score: place one by one, mend by a few at a time, then try all ways."""

from __future__ import annotations

from itertools import combinations, islice
from typing import TYPE_CHECKING, NamedTuple

from virtkit.host.placement.bound import lower_bound
from virtkit.host.placement.options import Budget, Marks, options
from virtkit.host.placement.score import Rules, Score, Shape, shape, stranded
from virtkit.host.placement.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from virtkit.host.placement.room import Room
    from virtkit.host.placement.state import Choice
    from virtkit.host.placement.wish import Wish

EXACT = 12  # machines up to which all ways are tried
STEPS = 4_000  # places that are looked at while all ways are tried, about a second
_MENDING = 4_000  # places that are looked at while mending
_LOOKS = 2_000  # places for one machine
_WIDE = 12  # places among which the best for one machine is chosen


class Found(NamedTuple):
    choices: Mapping[Wish, Choice]
    score: Score
    bound: Score
    proved: bool  # no plan has a lesser score


def search(
    room: Room,
    wishes: Sequence[Wish],
    present: Mapping[Wish, Choice],
    *,
    stay: frozenset[Wish] = frozenset(),
    steps: int = STEPS,
) -> Found:
    """``stay``: those that keep what they have at present, whatever it costs the others."""
    rules = Rules(room, {wish: _alone(room, wish) for wish in wishes}, present)
    hunt = _Hunt(rules, sorted(wishes, key=lambda wish: _rank(room, wish)), stay, steps)
    bound = lower_bound(rules, wishes)
    hunt.greedy()
    if hunt.best > bound:
        hunt.mend(bound)
    complete = hunt.best > bound and len(hunt.free) <= EXACT and hunt.exhaust(bound)
    if complete and not stay:
        bound = hunt.best
    return Found(hunt.choices, hunt.best, bound, hunt.best == bound)


def _alone(room: Room, wish: Wish) -> Shape | None:
    """What it takes at least. Where that is not found in time, one of each: it is not known to fit nowhere."""
    budget = Budget(_LOOKS)
    first = next(options(State(room), wish, None, Marks(frozenset(), frozenset()), budget), None)
    if first is None:
        return None if budget.complete else Shape(1, 1, 1)
    return shape(room, first)


def _rank(room: Room, wish: Wish) -> tuple[bool, bool, float, str]:
    """Who has devices first, then who wants cores, then by the larger of the shares of CPUs and of memory."""
    cores = sum(len(group.cores) for group in room.groups) or 1
    memory = sum(place.memory for place in room.nodes) or 1
    if wish.page_size:
        memory = sum(place.pools.get(wish.page_size, 0) * wish.page_size for place in room.nodes) or 1
    share = max(wish.cores(max(room.widths, default=1)) / cores, wish.memory / memory)
    return not wish.devices, not wish.own_cores, -share, wish.name


class _Hunt:
    def __init__(self, rules: Rules, wishes: Sequence[Wish], stay: frozenset[Wish], steps: int) -> None:
        self.rules, self.wishes, self.steps = rules, wishes, steps
        self.free = [wish for wish in wishes if wish not in stay]
        self._stay = stay
        self.state = self._start()
        self.best = Score(unplaced=len(wishes) + 1)
        self.choices: dict[Wish, Choice] = {}
        self._marks = _marks(rules, wishes)

    def _start(self) -> State:
        state = State(self.rules.room)
        for wish in self._stay:
            state.put(wish, self.rules.present[wish])
        return state

    def greedy(self) -> None:
        for wish in self.free:
            self._place(wish, Budget(_LOOKS))
        self._keep()

    def mend(self, bound: Score) -> None:
        """Take a machine that fares badly out, with up to two others, and place them anew."""
        budget = Budget(_MENDING)
        while self.best.faults > bound.faults and any(self._anew(group, budget) for group in self._groups()):
            pass

    def exhaust(self, bound: Score) -> bool:
        """Try all ways; False if the steps did not suffice."""
        self.state = self._start()
        budget = Budget(self.steps)
        self._descend(0, self.rules.score(self.state, list(self._stay))[:5], bound, budget)
        return budget.complete

    def _keep(self) -> bool:
        """Whether the present state is better than what was kept."""
        score = self.rules.score(self.state, self.wishes)
        if score < self.best:
            self.best, self.choices = score, dict(self.state.choices)
            return True
        return False

    def _options(self, wish: Wish, budget: Budget) -> Iterator[Choice]:
        return options(self.state, wish, self.rules.present.get(wish), self._marks, budget)

    def _place(self, wish: Wish, budget: Budget) -> None:
        """The best of the first places; nothing if there is none."""
        found = list(islice(self._options(wish, budget), _WIDE))
        if found:
            self.state.put(wish, min(found, key=lambda choice: self._price(wish, choice)))

    def _price(self, wish: Wish, choice: Choice) -> tuple[tuple[int, ...], int, bool]:
        self.state.put(wish, choice)
        price = self.rules.faults(wish, choice), stranded(self.state), self.rules.moved(wish, choice)
        self.state.take(wish)
        return price

    def _groups(self) -> Iterator[tuple[Wish, ...]]:
        """A machine that fares badly, and others that might make room; few first."""
        bad = [wish for wish in self.free if self._fares_badly(wish)]
        for size in range(3):
            for wish in bad:
                others = [other for other in self.free if other != wish and other in self.choices]
                for group in combinations(others, size):
                    yield (wish, *group)

    def _fares_badly(self, wish: Wish) -> bool:
        choice = self.choices.get(wish)
        return choice is None or any(self.rules.faults(wish, choice))

    def _anew(self, group: tuple[Wish, ...], budget: Budget) -> bool:
        """Whether it helped; if not, all is as it was."""
        if budget.spent:
            return False
        before = {wish: self.state.take(wish) for wish in group if wish in self.state.choices}
        for wish in group:
            self._place(wish, budget)
        if self._keep():
            return True
        for wish in group:
            if wish in self.state.choices:
                self.state.take(wish)
        for wish, choice in before.items():
            self.state.put(wish, choice)
        return False

    def _descend(self, depth: int, faults: tuple[int, ...], bound: Score, budget: Budget) -> None:
        if depth == len(self.free):
            self._keep()
            return
        wish = self.free[depth]
        for choice in self._options(wish, budget):
            own = self.rules.faults(wish, choice)
            total = (faults[0], *(sum(pair) for pair in zip(faults[1:], own, strict=True)))
            if total[:2] > self.best[:2] or self.best == bound:
                break  # the next ones have no fewer nodes
            if total <= self.best[:5]:
                self.state.put(wish, choice)
                self._descend(depth + 1, total, bound, budget)
                self.state.take(wish)
        without = (faults[0] + 1, *faults[1:])
        if without <= self.best[:5] and self.best > bound:
            self._descend(depth + 1, without, bound, budget)


def _marks(rules: Rules, wishes: Sequence[Wish]) -> Marks:
    numbers = {node for wish in wishes for node in wish.devices}
    nodes = {index for index, place in enumerate(rules.room.nodes) if place.number in numbers}
    kept = rules.present.values()
    return Marks(
        frozenset(nodes | {node for choice in kept for node in choice.nodes}),
        frozenset(group for choice in kept for group, _ in choice.cores),
    )
