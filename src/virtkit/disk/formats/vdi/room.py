"""Which blocks of a VDI file are free. Indices count blocks from the start of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Blocks(NamedTuple):
    """Blocks [begin, end) of the file."""

    begin: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.begin


class Room:
    """``used`` are the stretches that the map names; what lies between them is free."""

    def __init__(self, used: Iterable[Blocks]) -> None:
        self.end = 0  # behind the last used block
        self._free: list[Blocks] = []
        self._released: list[Blocks] = []  # still named by a map entry that a power cut could bring back
        for stretch in sorted(used):
            if stretch.begin > self.end:
                self._free.append(Blocks(self.end, stretch.begin))
            self.end = max(self.end, stretch.end)

    @property
    def holes(self) -> int:
        """Free blocks in front of ``end``."""
        return sum(stretch.length for stretch in self._free)

    @property
    def awaits_reclaim(self) -> bool:
        return bool(self._released)

    def take(self, count: int) -> Blocks:
        """Up to ``count`` blocks, which are used from now on."""
        if not self._free:
            self.end += count
            return Blocks(self.end - count, self.end)
        first = self._free.pop(0)
        if first.length > count:
            self._free.insert(0, Blocks(first.begin + count, first.end))
            first = Blocks(first.begin, first.begin + count)
        return first

    def give_back(self, stretch: Blocks) -> None:
        """What was taken, but never named."""
        self._free.append(stretch)
        self._tidy()

    def release(self, stretch: Blocks) -> None:
        """No entry names these any more; they are free from the next ``reclaim`` on."""
        self._released.append(stretch)

    def reclaim(self) -> None:
        """The changed map is on stable storage: what was released may be used for something else."""
        self._free += self._released
        self._released = []
        self._tidy()

    def _tidy(self) -> None:
        """In order, neighbours joined, none at the end."""
        joined: list[Blocks] = []
        for stretch in sorted(self._free):
            if joined and joined[-1].end == stretch.begin:
                joined[-1] = Blocks(joined[-1].begin, stretch.end)
            else:
                joined.append(stretch)
        if joined and joined[-1].end == self.end:
            self.end = joined.pop().begin
        self._free = joined

    def free(self) -> list[Blocks]:
        return list(self._free)
